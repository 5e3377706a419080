r"""Count values in a histogram that merges exactly and answers percentiles.

The grid is aligned to powers of two: bin ``i`` at exponent ``e`` covers
``[i * 2**e, (i + 1) * 2**e)``, so the bin of a value is ``floor(x / 2**e)``, and because

    floor(floor(x / w) / 2) == floor(x / (2 * w))

widening the bins from ``e`` to ``e + 1`` is halving the indices, with nothing lost. The exponent
is the smallest at which ``[minimum, maximum]`` needs at most ``MAX_BINS`` bins: a function of the
extremes alone. Hence any split and any order of the same values give the same histogram, bit for
bit: ``merge(of(a), of(b)) == of(a + b)``.

Bin width. At the next smaller exponent more than ``MAX_BINS`` bins would be needed, so

    width < 2 * (maximum - minimum) / (MAX_BINS - 1)

unless the float32 grid itself is coarser: then ``width <= 2**-23 * max(|minimum|, |maximum|)``.

Percentile. ``numpy.percentile(..., method="linear")`` interpolates between two order statistics.
Here each order statistic is placed inside its own bin, in proportion to its rank there, so it is
off by less than one width, and so is the interpolated value; the extremes are exact.
"""

import math
import threading
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from calib.arrays import AnyArray, Float64, Int64
from calib.errors import CalibrationError

MAX_BINS = 4096
EXPONENT_MIN = -100
"""Finest grid: keeps ``2**-exponent`` far from float32's overflow."""

_MANTISSA_BITS = 24
_SCRATCH = threading.local()
_CHUNK_VALUES = 1 << 17  # a chunk, its scaled copy and its bins stay inside the caches


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of float32 values on a grid aligned to powers of two.

    Attributes:
        minimum: smallest value seen, exact.
        maximum: largest value seen, exact.
        exponent: bins are ``2**exponent`` wide.
        first_bin: index of the first bin, ``floor(minimum / 2**exponent)``.
        counts: int64 [B], values per bin; the first and the last are not zero.
    """

    minimum: float
    maximum: float
    exponent: int
    first_bin: int
    counts: Int64

    def __post_init__(self) -> None:
        """Refuse a histogram that no observation can have made.

        Raises:
            CalibrationError: extremes, grid and counts contradict one another.
        """
        extremes = (self.minimum, self.maximum)
        if not (all(map(math.isfinite, extremes)) and self.minimum <= self.maximum):
            raise CalibrationError(f"a histogram cannot have the extremes {extremes}")
        found = (self.exponent, self.first_bin, len(self.counts))
        expected = _grid(*extremes)
        if found != expected:
            raise CalibrationError(
                f"the extremes {extremes} need (exponent, first bin, bins) = {expected}, "
                f"found {found}; the histogram is corrupt"
            )
        if min(self.counts[0], self.counts[-1]) < 1 or self.counts.min() < 0:
            raise CalibrationError("a histogram's counts are negative or empty at an end")

    @classmethod
    def of(cls, values: AnyArray, minimum: float, maximum: float) -> "Histogram":
        """Count finite float32 ``values`` whose extremes are already known.

        Args:
            values: float32, any shape, contiguous or copied; not empty.
            minimum: their exact minimum.
            maximum: their exact maximum.
        """
        # Adding 0.0 turns -0.0 into 0.0: which of the two equal zeros min() returns is chance.
        minimum, maximum = float(minimum) + 0.0, float(maximum) + 0.0
        exponent, first_bin, bins = _grid(minimum, maximum)
        counts = _count(np.ascontiguousarray(values).reshape(-1), exponent, first_bin, bins)
        return cls(minimum, maximum, exponent, first_bin, counts)

    def merge(self, other: "Histogram") -> "Histogram":
        """Return the histogram of both sets of values together, exactly."""
        minimum, maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        exponent, first_bin, bins = _grid(minimum, maximum)
        counts = np.zeros(bins, np.int64)
        for part in (self, other):
            _add_rebinned(counts, part, exponent, first_bin)
        return Histogram(minimum, maximum, exponent, first_bin, counts)

    @cached_property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @property
    def width(self) -> float:
        """Width of a bin, in the values' unit."""
        return math.ldexp(1.0, self.exponent)

    @cached_property
    def edges(self) -> Float64:
        """float64 [B + 1], edges of the bins; the outer two are drawn in to the extremes."""
        indices = np.arange(self.first_bin, self.first_bin + len(self.counts) + 1)
        edges = np.ldexp(indices.astype(np.float64), self.exponent)
        edges[0], edges[-1] = self.minimum, self.maximum
        return edges

    def percentile(self, percent: float) -> float:
        """Return the ``percent``-th percentile, in [0, 100], to one bin width.

        Raises:
            CalibrationError: ``percent`` lies outside [0, 100].
        """
        if not 0 <= percent <= 100:
            raise CalibrationError(f"a percentile lies in [0, 100], found {percent}")
        rank = percent / 100 * (self.total - 1)
        below = math.floor(rank)
        lower = self._order_statistic(below)
        upper = self._order_statistic(min(below + 1, self.total - 1))
        return lower + (upper - lower) * (rank - below)

    @cached_property
    def _cumulative(self) -> Int64:
        return np.cumsum(self.counts)

    def _order_statistic(self, rank: int) -> float:
        """Return the value of 0-based ``rank``: exact at both ends, else to one width."""
        if rank == 0:
            return self.minimum
        if rank == self.total - 1:
            return self.maximum
        number = int(np.searchsorted(self._cumulative, rank, side="right"))
        count = int(self.counts[number])
        inside = rank - (int(self._cumulative[number]) - count)
        left = math.ldexp(float(self.first_bin + number), self.exponent)
        value = left + (inside + 0.5) / count * self.width
        return min(max(value, self.minimum), self.maximum)


def _grid(minimum: float, maximum: float) -> tuple[int, int, int]:
    """Return exponent, first bin and number of bins for the extremes."""
    exponent = EXPONENT_MIN
    if largest := max(abs(minimum), abs(maximum)):
        exponent = max(exponent, math.frexp(largest)[1] - _MANTISSA_BITS)
    if maximum > minimum:
        exponent = max(exponent, math.frexp((maximum - minimum) / MAX_BINS)[1] - 1)
    while True:
        first = math.floor(math.ldexp(minimum, -exponent))
        bins = math.floor(math.ldexp(maximum, -exponent)) - first + 1
        if bins <= MAX_BINS:
            return exponent, first, bins
        exponent += 1


def _add_rebinned(counts: Int64, part: Histogram, exponent: int, first_bin: int) -> None:
    """Add the counts of ``part`` to those of a grid at least as coarse."""
    shift = exponent - part.exponent
    if shift == 0:
        start = part.first_bin - first_bin
        counts[start : start + len(part.counts)] += part.counts
        return
    indices = np.arange(part.first_bin, part.first_bin + len(part.counts), dtype=np.int64)
    np.add.at(counts, (indices >> min(shift, 62)) - first_bin, part.counts)


def _count(values: AnyArray, exponent: int, first_bin: int, bins: int) -> Int64:
    """Count 1-D ``values`` into bins.

    Multiplying by a power of two, flooring, and subtracting integers below 2**24 are exact in
    float32, except that scaling down may underflow: coarse grids go through float64.
    """
    dtype = np.float32 if exponent <= 0 else np.float64
    scale, offset = dtype(2.0**-exponent), dtype(first_bin)
    scaled, indices = scratch(_CHUNK_VALUES, dtype), scratch(_CHUNK_VALUES, np.uint16)
    counts = np.zeros(bins, np.int64)
    for start in range(0, values.size, _CHUNK_VALUES):
        chunk = values[start : start + _CHUNK_VALUES]
        part, index = scaled[: chunk.size], indices[: chunk.size]
        np.multiply(chunk, scale, out=part)
        np.floor(part, out=part)
        np.subtract(part, offset, out=part)
        np.copyto(index, part, casting="unsafe")
        counts += count_indices(index, bins)
    return counts


def scratch(size: int, dtype: npt.DTypeLike) -> AnyArray:
    """Return a 1-D array that this thread may overwrite until it asks for the same dtype again.

    Large temporaries that come and go between small ones that stay would fragment the heap: an
    image more would take memory more.
    """
    buffers: dict[str, AnyArray] = _SCRATCH.__dict__
    name = np.dtype(dtype).name
    if name not in buffers or buffers[name].size < size:
        buffers[name] = np.empty(size, dtype)
    return buffers[name][:size]


def count_indices(indices: npt.NDArray[np.uint16], bins: int) -> Int64:
    """Return int64 ``[bins]``: how often each bin's number occurs.

    OpenCV counts three times as fast as ``numpy.bincount`` and lets other threads run meanwhile.

    Args:
        indices: uint16, any shape, contiguous, fewer than 2**24; each below ``bins``.
        bins: at most 2**16.
    """
    found = cv2.calcHist([indices.reshape(1, -1)], [0], None, [bins], [0, bins])
    counts: Int64 = found.reshape(-1).astype(np.int64)  # float32 counts to 2**24 exactly
    return counts
