"""Take a network from somebody's ONNX file: read, widened to float32, static, at our opset."""
