"""Weight sharing: centroids and the codes of the weights that share them."""
