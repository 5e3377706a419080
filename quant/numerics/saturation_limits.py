"""Limit int8 weights to values whose products no 16-bit accumulator saturates.

int8 weights lie within [-127, 127]: the range is symmetric, and TensorRT and LiteRT take no other.

On x86-64 without VNNI, kernels for unsigned activations multiply with ``vpmaddubsw``, which adds
the products of two neighbouring input channels, 2j and 2j + 1, at one kernel position in 16 bits,
with saturation. No activations can saturate it if, and for all activations only if,

    max(q, 0) + max(q', 0) <= P    and    max(-q, 0) + max(-q', 0) <= P,    P = floor(32767 / 255)

for the int8 weights q, q' of every two neighbours: 255 * 128 = 32640 fits, 255 * 129 = 32895 does
not. Neighbours of unlike signs are free. Halving all weights (7 bits, onnxruntime's
``reduce_range``) satisfies it too, and costs every weight a bit; this costs only the large ones
that meet.

Channels are neighbours because both CPU runtimes lay the input channels innermost: onnxruntime's
QLinearConv transposes to NHWC and packs its filter as [kH kW I, O] in groups of four, oneDNN
blocks weights by four input channels. Where their number is odd, neighbours lie at different
kernel positions, so each weight keeps to P / 2 for itself.

Seen on an emulated Haswell (``qemu-x86_64 -cpu Haswell``) with onnxruntime 1.32: 255 * (100 + 100)
is 46 of 255 levels wrong at the output, 255 * (100 + 28) and 255 * (100 - 100) are exact.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calib.arrays import AnyArray, Float32, Float64, Floating, Int8
from quant.numerics.affine import WEIGHT_LIMIT

AccumulatorBits = Literal[16, 32]

PAIR_LIMIT = 32767 // 255


@dataclass(frozen=True)
class SaturationLimits:
    """The int8 values that a convolution's weight ``[O, I, ...]`` may have.

    Attributes:
        accumulator_bits: 32, or 16 for weights of which no two products can saturate a sum.
    """

    accumulator_bits: AccumulatorBits

    def channels_paired(self, channels: int) -> bool:
        """Tell whether neighbours among ``channels`` input channels limit one another's weights."""
        return self.accumulator_bits == 16 and channels % 2 == 0

    def largest(self, channels: int) -> int:
        """Return the largest int8 value of a weight that reads ``channels`` input channels."""
        alone = self.accumulator_bits == 16 and not self.channels_paired(channels)
        return PAIR_LIMIT // 2 if alone else WEIGHT_LIMIT

    def minmax_scales(self, weight: Float32) -> Float64:
        """Return float64 ``[O]``: the smallest scales at which nothing has to be clipped.

        Args:
            weight: float32 ``[O, I, ...]``.
        """
        flat = _by_channel(weight)
        largest = self.largest(flat.shape[1])
        scales: Float64 = np.abs(flat).max(axis=(1, 2), initial=0.0) / largest
        if self.channels_paired(flat.shape[1]):
            sums = _sums_of_neighbours(flat).max(axis=(1, 2), initial=0.0)
            scales = np.maximum(scales, sums / PAIR_LIMIT)
        return scales.astype(np.float64)

    def clamp(self, steps: Floating) -> Floating:
        """Return the nearest values within the limits; what two neighbours exceed, they share.

        Args:
            steps: weights in units of their scales, ``[O, I, ...]``.
        """
        flat = _by_channel(steps)
        largest = self.largest(flat.shape[1])
        kept = flat.clip(-largest, largest)
        if self.channels_paired(flat.shape[1]):
            left, right = kept[:, ::2], kept[:, 1::2]
            over = _sums_of_neighbours(kept) > PAIR_LIMIT
            beyond = np.unravel_index(np.flatnonzero(over), over.shape)
            excess = np.abs(left[beyond]) + np.abs(right[beyond]) - PAIR_LIMIT
            half = (excess / 2).astype(kept.dtype)  # of integers the smaller half
            left[beyond] -= np.sign(left[beyond]) * (excess - half)
            right[beyond] -= np.sign(right[beyond]) * half
        found: Floating = kept.reshape(steps.shape)
        return found

    def round_to_nearest(self, steps: Float32) -> Int8:
        """Return the int8 weights nearest to ``steps``, int8 ``[O, I, ...]``."""
        rounded = np.rint(self.clamp(steps))
        if self.channels_paired(steps.shape[1]):
            # Rounding two halves may have gone the same way.
            rounded = self.clamp(rounded.astype(np.int16))
        codes: Int8 = rounded.astype(np.int8)
        return codes

    def excess(self, codes: Int8) -> int:
        """Return how far int8 weights ``[O, I, ...]`` exceed the limits at worst, or 0."""
        wide = _by_channel(codes).astype(np.int16)
        largest = self.largest(wide.shape[1])
        beyond = int(np.abs(wide).max(initial=0)) - largest
        if self.channels_paired(wide.shape[1]):
            beyond = max(beyond, int(_sums_of_neighbours(wide).max(initial=0)) - PAIR_LIMIT)
        return max(beyond, 0)


def _by_channel(weight: AnyArray) -> AnyArray:
    return weight.reshape(*weight.shape[:2], -1)


def _sums_of_neighbours(flat: AnyArray) -> AnyArray:
    """Return ``[O, I / 2, P]``: the magnitudes of two neighbours added, 0 for unlike signs.

    Which sign a 0 has does not matter: beside it, the other alone is within the limit.
    """
    # Whole arrays first: over every other channel numpy's inner loop has the 9 values of a kernel.
    magnitudes, positive = np.abs(flat), flat > 0
    sums: AnyArray = magnitudes[:, ::2] + magnitudes[:, 1::2]
    sums *= positive[:, ::2] == positive[:, 1::2]
    return sums
