"""Read a float graph: its parts, distributions of its tensors, what can absorb a scale."""
