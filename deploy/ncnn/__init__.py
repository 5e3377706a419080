"""Convert float and QDQ ONNX graphs to ncnn's files, and read such files."""
