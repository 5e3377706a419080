"""Run models: onnxruntime, OpenVINO and ncnn, whole pictures or in tiles."""
