"""Deploy Real-ESRGAN: turn weights into verified ONNX models (the esrdeploy command)."""

__version__ = "0.1.0"
