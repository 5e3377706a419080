"""Choose the grid of a branch that is added to an 8-bit picture: the picture's own, if it holds it.

On multiples of 1/255 rounding costs nothing (quant/analysis/picture_sums.py), so all that counts is
what such a range of 255 steps clips:

    sum over values outside of  p(v) (v - limit)^2

The zero point is the one that clips least.
"""

import numpy as np

from quant.numerics.affine import IntegerType, covered_range
from quant.numerics.distribution import Distribution, clipping_error
from quant.numerics.pre_activation_scale import Affine

PICTURE_STEP = float(np.float32(1 / 255))


def picture_grid(
    values: Distribution, integer: IntegerType, *, symmetric: bool
) -> tuple[Affine, float]:
    """Return the picture's own grid for a branch, and the mean squared error of its clipping.

    Args:
        values: of the branch.
        integer: type of the quantized values.
        symmetric: the zero point must be 0.
    """
    zeros = (0,) if symmetric else range(integer.qmin, integer.qmax + 1)
    limits = np.array([covered_range(PICTURE_STEP, zero, integer) for zero in zeros])
    below = clipping_error(-values.values[::-1], values.counts[::-1], -limits[:, 0])
    above = clipping_error(values.values, values.counts, limits[:, 1])
    errors = (below + above) / values.counts.sum()
    middle = np.abs(limits.sum(axis=1))  # of those that clip alike, the most even
    best = min(range(len(errors)), key=lambda place: (errors[place], middle[place]))
    return Affine(PICTURE_STEP, zeros[best]), float(errors[best])
