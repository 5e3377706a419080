"""Calibrate: observe a float graph on images and keep ranges and histograms of its activations.

OpenCV reads its limits from the environment once, when it is loaded; every module that loads it
imports this package first.
"""

import os

MOST_PICTURE_PIXELS = 1 << 27
"""What a picture may hold, 11,585 x 11,585: the header of a file of 69 bytes can ask for 30,000 x
30,000, 2.7 GB. Whoever states another limit in ``OPENCV_IO_MAX_IMAGE_PIXELS`` gets that."""

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PICTURE_PIXELS))
