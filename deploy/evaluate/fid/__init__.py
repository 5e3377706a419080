"""Measure the Frechet distance of Inception features between sets of pictures."""
