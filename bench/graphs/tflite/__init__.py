"""A plain graph as a .tflite file."""
