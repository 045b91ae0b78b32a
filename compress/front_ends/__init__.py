"""What makes a compressed model: a torch module with data, an ONNX file."""
