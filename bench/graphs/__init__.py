"""An ONNX file as a plain graph, and that graph as NumPy, as torch, as TFLite."""
