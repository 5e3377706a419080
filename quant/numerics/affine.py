"""Quantize real values to integers with scale and zero point, and dequantize them.

    q = saturate(round_half_even(x / scale) + zero_point)         QuantizeLinear
    y = (q - zero_point) * scale                                  DequantizeLinear

Both in float32, as the ONNX operators define them, so a value computed here is bit for bit what
a conforming runtime computes. Weights use the restricted range [-127, 127]: it is symmetric, and
TensorRT and LiteRT accept no other.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calib.arrays import AnyArray, Float32

IntegerName = Literal["uint8", "int8", "uint16", "int16", "int32"]


@dataclass(frozen=True)
class IntegerType:
    """An integer type that a quantized tensor can have.

    Attributes:
        name: numpy's name of it, such as ``uint8``.
        qmin: smallest quantized value.
        qmax: largest quantized value.
    """

    name: IntegerName
    qmin: int
    qmax: int

    @property
    def span(self) -> int:
        """Number of scale steps between qmin and qmax."""
        return self.qmax - self.qmin


INTEGER_TYPES: dict[str, IntegerType] = {
    "uint8": IntegerType("uint8", 0, 255),
    "int8": IntegerType("int8", -128, 127),
    "uint16": IntegerType("uint16", 0, 65535),
    "int16": IntegerType("int16", -32768, 32767),
    "int32": IntegerType("int32", -(2**31), 2**31 - 1),
}

# int8 weights lie within [-127, 127].
WEIGHT_LIMIT = 127

# An int32 accumulator must not overflow when the bias is already in it, so a bias keeps to half
# of int32; a channel of nearly zero weights gets a larger scale for its sake (onnxruntime's
# quantizer: "adjust_weight_scale_for_int32_bias").
BIAS_LIMIT = 2**30

# Below this a float32 scale would be subnormal and its reciprocal infinite.
SMALLEST_SCALE = float(np.finfo(np.float32).tiny) * 2**24


def affine_parameters(
    low: float, high: float, integer: IntegerType, *, symmetric: bool
) -> tuple[float, int]:
    """Return the scale (a float32 value) and zero point that cover ``[low, high]``.

    The interval is first widened to hold 0, which is then exact. Symmetric quantization
    puts it at 0 of a signed type and covers ``max(-low, high)``.

    Raises:
        ValueError: the interval is empty or not finite.

    >>> affine_parameters(0.0, 255.0, INTEGER_TYPES["uint8"], symmetric=False)
    (1.0, 0)
    >>> affine_parameters(-0.5, 254.0, INTEGER_TYPES["int8"], symmetric=True)
    (2.0, 0)
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"a range must be finite and ordered, found [{low}, {high}]")
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        scale = _positive_float32(max(-low, high) / integer.qmax)
        return scale, 0
    scale = _positive_float32((high - low) / integer.span)
    zero_point = round(integer.qmin - low / scale)
    return scale, int(np.clip(zero_point, integer.qmin, integer.qmax))


def covered_range(scale: float, zero_point: int, integer: IntegerType) -> tuple[float, float]:
    """Return the smallest and the largest real value that is not clipped."""
    return (integer.qmin - zero_point) * scale, (integer.qmax - zero_point) * scale


def quantize(
    values: AnyArray, scale: AnyArray | float, zero_point: AnyArray | int, integer: IntegerType
) -> AnyArray:
    """Return the quantized values, with the dtype of ``integer``.

    Args:
        values: real numbers, any shape.
        scale: positive; a number, or an array that broadcasts against ``values``.
        zero_point: quantized value of 0; a number, or an array likewise.
        integer: type of the quantized values.
    """
    steps = np.rint(np.asarray(values, np.float32) / np.asarray(scale, np.float32))
    codes = np.clip(steps.astype(np.float64) + zero_point, integer.qmin, integer.qmax)
    return codes.astype(integer.name)


def dequantize(codes: AnyArray, scale: AnyArray | float, zero_point: int) -> Float32:
    """Return the float32 values that the quantized values ``codes`` stand for."""
    steps = (np.asarray(codes).astype(np.int64) - zero_point).astype(np.float32)
    values: Float32 = steps * np.asarray(scale, np.float32)
    return values


def bias_scale_floor(bias: Float32, input_scale: float) -> Float32:
    """Return float32 ``[O]``: smallest weight scales with which ``bias`` fits int32."""
    floor = np.abs(bias.astype(np.float64)) / (input_scale * BIAS_LIMIT)
    above: Float32 = np.nextafter(floor.astype(np.float32), np.float32(np.inf))
    return above


def _positive_float32(value: float) -> float:
    return float(np.float32(max(value, SMALLEST_SCALE)))
