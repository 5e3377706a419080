"""Quantize numbers: scales, distributions, limits; nothing here knows a graph."""
