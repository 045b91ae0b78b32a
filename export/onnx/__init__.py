"""The ONNX targets: dense, fixed-width codes, Huffman codes, and the decoder that they carry."""
