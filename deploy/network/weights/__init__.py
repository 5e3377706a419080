"""Read checkpoint files as named float32 tensors, each set with its origin."""
