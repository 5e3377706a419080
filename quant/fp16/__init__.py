"""Convert a float graph to fp16, where every value fits."""
