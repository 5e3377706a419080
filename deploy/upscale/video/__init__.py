"""Enlarge clips, frame by frame, with all that comes with them."""
