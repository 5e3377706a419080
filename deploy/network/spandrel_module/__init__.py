"""Weights of other architectures as torch modules of the library spandrel, exported and proven."""
