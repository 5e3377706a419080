"""Keep scales to numbers that fp16 holds exactly, for graphs that compute in fp16.

fp16 has 11 significant bits from 2^-14 on, and fewer below. A scale is moved to the nearest such
number *before* anything is quantized with it: one set of codes then means the same values in a file
of fp16 scales, in one of float32 scales, and in what is computed here. From 2^-14 on it moves by
2^-11 of itself at most, which is 0.06 of a step at the end of 8 bits.
"""

import numpy as np

from calib.arrays import AnyArray, Float32

FP16_MAX = float(np.finfo(np.float16).max)
FP16_NORMAL = float(np.finfo(np.float16).tiny)
"""2^-14: below, fp16 is subnormal, and hardware may take it for 0."""


def half_scale(scale: float) -> float:
    """Return the number nearest to a scale that fp16 holds exactly, from 2^-14 to 65504.

    >>> half_scale(1 / 127), half_scale(1e-9) == 2.0**-14
    (0.00787353515625, True)
    """
    return float(half_scales(np.array([scale], np.float32))[0])


def half_scales(scales: Float32) -> Float32:
    """Return float32 scales of any shape as :func:`half_scale` does each."""
    held = np.clip(scales, np.float32(FP16_NORMAL), np.float32(FP16_MAX))
    nearest: Float32 = held.astype(np.float16).astype(np.float32)
    return nearest


def half_scale_within(scale: float, low: float, high: float) -> float:
    """Return the nearest number that fp16 holds exactly, but one in an interval if it has any.

    Args:
        scale: in the interval.
        low: its lower end.
        high: its upper end.

    >>> half_scale(1 / 127) < 1 / 127 < half_scale_within(1 / 127, 1 / 127, 1.0)
    True
    """
    found = half_scale(scale)
    if found < low:
        return float(np.nextafter(np.float16(found), np.float16(np.inf)))
    if found > high:
        return float(np.nextafter(np.float16(found), np.float16(0.0)))
    return found


def held_by_half(values: AnyArray) -> bool:
    """Tell whether fp16 holds every value exactly."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float16).astype(values.dtype), values))
