"""Sharpen pictures, so that weights are rounded for more texture than calibration pictures hold.

    clip(p + (p - B p), 0, 1)        B is the mean of 3x3 pixels

A brick wall drives a chain of convolutions in directions in which photographs have little energy.
GPTQ, which lets one weight make up for another where inputs go together, is free to err there.
"""

import numpy as np
from scipy.ndimage import uniform_filter

from calib.arrays import Float32


def sharpened(picture: Float32) -> Float32:
    """Return a picture whose detail is twice as strong.

    Args:
        picture: float32 ``[1,C,H,W]`` in [0,1]; continued by its border pixels.

    Returns:
        float32 ``[1,C,H,W]`` in [0,1].
    """
    blurred = uniform_filter(picture, size=(1, 1, 3, 3), mode="nearest")
    return np.asarray(np.clip(2.0 * picture - blurred, 0.0, 1.0), dtype=np.float32)
