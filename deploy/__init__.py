"""Weights in, a verified deployment out: the esrdeploy command."""

__version__ = "0.1.0"
