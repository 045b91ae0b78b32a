"""What trains: epochs, loaders, optimisers, constraints that keep masks and codes, weights in and out of a module."""
