"""Compression without retraining: bits and rounding of every tensor, biases corrected, the cost measured."""
