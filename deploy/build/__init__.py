"""Make the models of a build: calibrate, quantize, write, describe."""
