"""Calibrate: observe a float graph on images and keep ranges and histograms of its activations."""
