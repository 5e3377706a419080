"""Choose one scale per output channel of a convolution's weight, by what drives its inputs.

The scale that just covers the largest weight of a channel is rarely the best: a smaller one rounds
all other weights more finely and clips a few. For an input whose channel i varies by v_i the error
that rounding leaves in output channel o is about

    sum over i, k of  v_i (w[o, i, k] - s q[o, i, k])^2

and each channel takes the scale, of a ladder below the covering one, where it is least.
"""

import numpy as np

from calib.arrays import Float32, Float64
from quant.numerics.affine import SMALLEST_SCALE
from quant.numerics.saturation_limits import SaturationLimits

_LADDER = np.arange(1.0, 0.59, -0.05)


def least_error_scales(
    weight: Float32, variance: Float64, limits: SaturationLimits, *, floor: Float32 | None
) -> Float32:
    """Return the scale of each output channel.

    Args:
        weight: float32 ``[O, I, ...]``.
        variance: float64 ``[I]``, of each input channel.
        limits: which int8 values are allowed.
        floor: float32 ``[O]``, smallest scales with which the bias fits int32, if any.

    Returns:
        float32 ``[O]``, all positive; a channel without weights gets the floor.
    """
    flat = weight.reshape(*weight.shape[:2], -1)
    covering = limits.minmax_scales(flat)
    lowest = np.full(len(flat), SMALLEST_SCALE) if floor is None else floor.astype(np.float64)
    lowest = np.maximum(lowest, SMALLEST_SCALE)
    drive = variance.astype(np.float32)
    best: Float32 = np.maximum(covering, lowest).astype(np.float32)
    least = np.full(len(flat), np.inf)
    for share in _LADDER:
        scales = np.maximum(covering * share, lowest).astype(np.float32)
        steps = flat / scales[:, np.newaxis, np.newaxis]
        steps -= limits.round_to_nearest(steps)
        error = np.square(steps).sum(axis=2) @ drive * np.square(scales, dtype=np.float64)
        better = error < least
        best[better], least[better] = scales[better], error[better]
    return best
