"""Load Real-ESRGAN networks and export them as proven float ONNX graphs."""
