"""`bench report`: results of runs and measurements, joined into one page."""
