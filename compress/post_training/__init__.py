"""Compression without retraining: settings, bits and rounding of every tensor, biases corrected, what it costs measured."""
