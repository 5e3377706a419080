"""A float graph in, a float graph of the same network that quantizes better out."""
