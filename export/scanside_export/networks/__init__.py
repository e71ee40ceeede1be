"""Both networks, their checkpoints, and their ONNX files."""
