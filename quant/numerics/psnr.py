"""Turn a mean squared error into decibels.

PSNR = 10 log10( peak^2 / mean (a - b)^2 ) dB
"""

import math


def psnr_of(mean_square: float, peak: float = 1.0) -> float:
    """Return the peak signal to noise ratio in dB; infinite without an error, NaN for a NaN.

    Args:
        mean_square: mean squared difference, at least 0.
        peak: largest value that a signal can have.

    >>> psnr_of(1e-4)
    40.0
    >>> psnr_of(0.0)
    inf
    """
    return -10.0 * math.log10(mean_square / peak**2) if mean_square != 0.0 else math.inf
