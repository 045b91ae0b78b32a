"""From an ONNX model to a program: nodes read into steps on static shapes, and fused; nothing about C."""
