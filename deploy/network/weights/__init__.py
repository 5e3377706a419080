"""A checkpoint file in, named float32 tensors with their origin out."""
