"""Refine int8 weights, scales and biases together against the float network, with torch."""
