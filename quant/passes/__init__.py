"""Rewrite a float graph into one of the same network that quantizes better."""
