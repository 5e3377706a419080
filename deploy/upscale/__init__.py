"""Enlarge pictures of any size and kind with a built network."""
