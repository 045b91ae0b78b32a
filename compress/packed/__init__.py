"""The packed file: a compressed model to bytes and back, as FORMAT.md beside this file says."""
