"""An ONNX file of anybody: read it, find its weights, lift them to its main graph, shorten its names."""
