"""Files into numbers: sizes, latencies across runtimes, layers, energy, and the page that joins them."""
