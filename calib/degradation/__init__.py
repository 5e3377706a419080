"""Degrade photographs to the low-resolution pictures that Real-ESRGAN networks are trained on."""
