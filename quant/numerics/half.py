"""Keep scales to numbers that a file holds exactly: in graphs that compute in fp16, those of fp16.

fp16 has 11 significant bits from 2^-14 on, and fewer below. A scale is moved to the nearest such
number *before* anything is quantized with it: one set of codes then means the same values in a file
of fp16 scales, in one of float32 scales, and in what is computed here. From 2^-14 on it moves by
2^-11 of itself at most, which is 0.06 of a step at the end of 8 bits.
"""

from typing import Literal

import numpy as np

from calib.arrays import AnyArray, Float32

FloatType = Literal["float32", "float16"]
"""Type of all that is not quantized in a file, its scales among it."""

FP16_MAX = float(np.finfo(np.float16).max)
FP16_NORMAL = float(np.finfo(np.float16).tiny)
"""2^-14: below, fp16 is subnormal, and hardware may take it for 0."""


def stored_scale(scale: float, float_type: FloatType) -> float:
    """Return the scale that a file can hold, nearest to a float32 one.

    In float16 it is from 2^-14 to 65504.

    >>> stored_scale(1 / 127, "float16"), stored_scale(1e-9, "float16") == 2.0**-14
    (0.00787353515625, True)
    >>> stored_scale(0.1, "float32")
    0.1
    """
    if float_type == "float32":
        return scale
    return float(stored_scales(np.array([scale], np.float32), float_type)[0])


def stored_scales(scales: Float32, float_type: FloatType) -> Float32:
    """Return float32 scales of any shape as :func:`stored_scale` does each."""
    if float_type == "float32":
        return scales
    held = np.clip(scales, np.float32(FP16_NORMAL), np.float32(FP16_MAX))
    nearest: Float32 = held.astype(np.float16).astype(np.float32)
    return nearest


def stored_scale_within(scale: float, low: float, high: float, float_type: FloatType) -> float:
    """Return the nearest scale that a file can hold, but one in an interval if it has any.

    Args:
        scale: float32, in the interval.
        low: its lower end.
        high: its upper end.
        float_type: of the file.

    >>> stored_scale(1 / 127, "float16") < 1 / 127
    True
    >>> 1 / 127 < stored_scale_within(1 / 127, 1 / 127, 1.0, "float16")
    True
    """
    if float_type == "float32":
        return scale
    found = stored_scale(scale, float_type)
    if found < low:
        return float(np.nextafter(np.float16(found), np.float16(np.inf)))
    if found > high:
        return float(np.nextafter(np.float16(found), np.float16(0.0)))
    return found


def held_by_half(values: AnyArray) -> bool:
    """Tell whether fp16 holds every value exactly."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float16).astype(values.dtype), values))
