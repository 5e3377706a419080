r"""Keep a coarse, mergeable histogram of each channel of an activation.

The grid is the one of calib/histogram.py, per channel: bins ``2**e`` wide and aligned to powers of
two, ``e`` the smallest at which the channel's ``[minimum, maximum]`` needs at most ``BINS`` bins.
So channels merge exactly, and a tensor whose channels are later divided by factors of their own
(quant/passes/equalize.py) has a distribution without running an image again.

The extremes are those of all values. Counted is every value of a small plane and every
``STRIDE``-th of a large one: 3,277 of the 16,384 values of a 128x128 channel. A stride prime to
the powers of two visits all rows, columns and sub-pixel phases alike.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calib.arrays import Float32, Float64, Int32, Int64
from calib.errors import CalibrationError
from calib.histogram import EXPONENT_MIN, count_indices, scratch

BINS = 128
STRIDE = 5

_LARGE_PLANE = 4096
_MANTISSA_BITS = 24
_COUNT_LIMIT = 2**31 - 1
_CHANNELS = 32  # counted at a time


@dataclass(frozen=True, eq=False)
class ChannelHistograms:
    """Counts of the values of each channel on a grid of its own.

    Attributes:
        minimum: float32 ``[C]``, smallest value of each channel, exact.
        maximum: float32 ``[C]``, largest value of each channel, exact.
        counts: int32 ``[C, BINS]``; a channel's bins start with the one that holds its minimum.
    """

    minimum: Float32
    maximum: Float32
    counts: Int32

    @classmethod
    def of(cls, planes: Float32, minimum: Float32, maximum: Float32) -> "ChannelHistograms":
        """Count finite values whose extremes are already known.

        Args:
            planes: float32 ``[N, C, P]``.
            minimum: float32 ``[C]``, their exact minimum.
            maximum: float32 ``[C]``, their exact maximum.
        """
        # Adding 0 turns -0.0 into 0.0: which of the two equal zeros min() returns is chance.
        minimum, maximum = minimum + np.float32(0), maximum + np.float32(0)
        exponents, first = _grids(minimum, maximum)
        values = planes[:, :, :: STRIDE if planes.shape[2] > _LARGE_PLANE else 1]
        # float32 holds every scaled value unless scaling down underflows: coarse grids take float64
        dtype = np.float32 if exponents.max() <= 0 else np.float64
        scales = np.ldexp(1.0, -exponents).astype(dtype)[:, np.newaxis]
        offsets = (first - np.arange(len(first)) % _CHANNELS * BINS).astype(dtype)[:, np.newaxis]
        counts = np.empty((len(first), BINS), np.int32)
        for start in range(0, len(first), _CHANNELS):
            few = slice(start, start + _CHANNELS)
            chosen = values[:, few]
            scaled = scratch(chosen.size, dtype).reshape(chosen.shape)
            np.multiply(chosen, scales[few], out=scaled)
            np.floor(scaled, out=scaled)
            np.subtract(scaled, offsets[few], out=scaled)
            bins = scratch(chosen.size, np.uint16).reshape(chosen.shape)
            np.copyto(bins, scaled, casting="unsafe")
            found = count_indices(bins, len(scales[few]) * BINS)
            counts[few] = found.reshape(-1, BINS)
        return cls(minimum, maximum, counts)

    def merge(self, other: "ChannelHistograms") -> "ChannelHistograms":
        """Return the histograms of both sets of values together, exactly.

        Raises:
            CalibrationError: a bin would count more than int32 holds.
        """
        minimum = np.minimum(self.minimum, other.minimum)
        maximum = np.maximum(self.maximum, other.maximum)
        exponents, first = _grids(minimum, maximum)
        counts = np.zeros(len(first) * BINS, np.int64)
        offsets = (np.arange(len(first)) * BINS - first)[:, np.newaxis]
        for part in (self, other):
            own_exponents, own_first = part._grid  # noqa: SLF001  # the same class
            shift = np.minimum(exponents - own_exponents, 62)[:, np.newaxis]
            bins = ((own_first[:, np.newaxis] + np.arange(BINS)) >> shift) + offsets
            filled = part.counts > 0
            counts += np.bincount(bins[filled], part.counts[filled], len(counts)).astype(np.int64)
        if counts.max(initial=0) > _COUNT_LIMIT:
            raise CalibrationError("a channel was counted more than 2**31 times; use fewer images")
        return ChannelHistograms(
            minimum, maximum, counts.reshape(len(first), BINS).astype(np.int32)
        )

    @property
    def abs_max(self) -> Float32:
        """float32 ``[C]``, largest magnitude of each channel, exact."""
        return np.maximum(np.abs(self.minimum), np.abs(self.maximum))

    def edges(self) -> Float64:
        """Return float64 ``[C, BINS + 1]``: edges of the bins, drawn in to the extremes."""
        exponents, first = self._grid
        bins = first[:, np.newaxis] + np.arange(BINS + 1)
        edges = np.ldexp(bins.astype(np.float64), exponents[:, np.newaxis])
        return np.clip(edges, self.minimum[:, np.newaxis], self.maximum[:, np.newaxis])

    @cached_property
    def _grid(self) -> tuple[Int64, Int64]:
        return _grids(self.minimum, self.maximum)


def _grids(minimum: Float32, maximum: Float32) -> tuple[Int64, Int64]:
    """Return int64 ``[C]`` exponent and first bin of each channel."""
    low, high = minimum.astype(np.float64), maximum.astype(np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    exponents = np.maximum(np.frexp(largest)[1] - _MANTISSA_BITS, EXPONENT_MIN)
    exponents[largest == 0] = EXPONENT_MIN
    wide = high > low
    spread = np.frexp((high - low) / BINS)[1] - 1
    exponents[wide] = np.maximum(exponents, spread)[wide]
    exponents = exponents.astype(np.int64)
    while True:
        first = np.floor(np.ldexp(low, -exponents)).astype(np.int64)
        bins = np.floor(np.ldexp(high, -exponents)).astype(np.int64) - first + 1
        narrow = bins > BINS
        if not narrow.any():
            return exponents, first
        exponents += narrow
