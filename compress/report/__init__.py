"""What became of a network, for people: the table per layer, the plots of a run."""
