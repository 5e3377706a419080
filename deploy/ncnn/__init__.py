"""A float or QDQ ONNX graph in, ncnn's files out, and ncnn's own engine to run them."""
