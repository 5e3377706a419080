"""Represent the values of an activation as a distribution, and find its least-squares range.

A distribution is a sorted list of values with counts. Monotone maps, merging and percentiles act
on it exactly, so one observed tensor serves every edge that follows from it.

The squared error of rounding with scale s and clipping to [l, h] is, per value,

    E(l, h) = s^2/12 * P(v >= 0) + (a s)^2/12 * P(v < 0)
              + sum over v < l of p(v) (l - v)^2 + sum over v > h of p(v) (v - h)^2

with s = (h - l/a) / steps. ``a`` is 1 for a plain edge. For the edge before a LeakyReLU of slope
a, v is the activation's *output*: an error on its negative side reaches the output a times
smaller, while the same negative side takes 1/a times the room on the edge (the uniform-noise
model of rounding, Widrow and Kollar, Quantization Noise, 2008, section 4).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from calib.arrays import Float64
from quant.numerics.affine import IntegerType

# Candidate limits: the extreme value times 2^(-k/12), down to 1/40 of it.
_SHRINK = np.exp2(-np.arange(65) / 12.0)


@dataclass(frozen=True, eq=False)
class Distribution:
    """Values of a tensor with their counts.

    Attributes:
        values: float64 ``[N]``, ascending.
        counts: float64 ``[N]``, positive.
        minimum: smallest value seen.
        maximum: largest value seen.
    """

    values: Float64
    counts: Float64
    minimum: float
    maximum: float

    def scaled(self, factor: float) -> "Distribution":
        """Return the distribution of the values times ``factor`` > 0."""
        return Distribution(
            self.values * factor, self.counts, self.minimum * factor, self.maximum * factor
        )

    def before_leaky(self, slope: float) -> "Distribution":
        """Return the distribution at the input of the LeakyReLU that these values left."""
        return Distribution(
            np.where(self.values < 0.0, self.values / slope, self.values),
            self.counts,
            self.minimum / slope if self.minimum < 0.0 else self.minimum,
            self.maximum / slope if self.maximum < 0.0 else self.maximum,
        )

    def percentile_range(self, percentile: float) -> tuple[float, float]:
        """Return the limits outside of which ``100 - percentile`` % lie on either side."""
        shares = (np.cumsum(self.counts) - 0.5 * self.counts) / self.counts.sum()
        tails = ((100.0 - percentile) / 100.0, percentile / 100.0)
        low, high = np.interp(tails, shares, self.values)
        if percentile >= 100.0:
            return self.minimum, self.maximum
        return float(max(low, self.minimum)), float(min(high, self.maximum))

    def share_within(self, limit: float) -> float:
        """Return the share of the values in ``[-limit, limit]``, interpolated inside bins."""
        shares = np.cumsum(self.counts) / self.counts.sum()
        low, high = np.interp((-limit, limit), self.values, shares, left=0.0, right=1.0)
        return float(high - low)

    def clipped_shares(self, low: float, high: float) -> tuple[float, float]:
        """Return the shares of the values below ``low`` and above ``high``."""
        total = self.counts.sum()
        below = self.counts[self.values < low].sum() / total
        return float(below), float(self.counts[self.values > high].sum() / total)


def merge(parts: Iterable[Distribution]) -> Distribution:
    """Return the distribution of all values of ``parts`` together."""
    members = tuple(parts)
    values = np.concatenate([part.values for part in members])
    order = np.argsort(values, kind="stable")
    return Distribution(
        values[order],
        np.concatenate([part.counts for part in members])[order],
        min(part.minimum for part in members),
        max(part.maximum for part in members),
    )


def least_squares_range(
    distribution: Distribution,
    integer: IntegerType,
    *,
    symmetric: bool,
    negative_gain: float = 1.0,
    clipping_weight: float = 1.0,
) -> tuple[float, float]:
    """Return the range ``(low, high)`` whose rounding and clipping error is least.

    Args:
        distribution: values of the edge; with ``negative_gain`` below 1, of the output of the
            LeakyReLU behind the edge.
        integer: type of the quantized values.
        symmetric: the range is to be ``(-limit, limit)``.
        negative_gain: slope of that LeakyReLU; ``low`` is returned for its output too.
        clipping_weight: how much worse a squared error of clipping is than one of rounding.
    """
    lows = min(distribution.minimum, 0.0) * _SHRINK
    highs = max(distribution.maximum, 0.0) * _SHRINK
    if lows[0] == 0.0:
        lows = np.zeros(1)
    if highs[0] == 0.0:
        highs = np.zeros(1)
    clipping_low = clipping_error(-distribution.values[::-1], distribution.counts[::-1], -lows)
    clipping_high = clipping_error(distribution.values, distribution.counts, highs)
    total = distribution.counts.sum()
    share = clipping_weight / total
    negative = distribution.counts[distribution.values < 0.0].sum() / total
    noise_gain = (1.0 - negative) + negative_gain**2 * negative
    if symmetric:
        limits = max(-lows[0] / negative_gain, highs[0]) * _SHRINK
        clip = clipping_error(
            -distribution.values[::-1], distribution.counts[::-1], limits * negative_gain
        ) + clipping_error(distribution.values, distribution.counts, limits)
        steps = limits / integer.qmax
        best = int(np.argmin(clip * share + steps**2 / 12.0 * noise_gain))
        return float(-limits[best] * negative_gain), float(limits[best])
    widths = highs[None, :] - lows[:, None] / negative_gain
    rounding = (widths / integer.span) ** 2 / 12.0 * noise_gain
    error = rounding + (clipping_low[:, None] + clipping_high[None, :]) * share
    row, column = np.unravel_index(int(np.argmin(error)), error.shape)
    return float(lows[row]), float(highs[column])


def clipping_error(values: Float64, counts: Float64, limits: Float64) -> Float64:
    """Return the sum over values above each limit of ``count * (value - limit)^2``.

    Args:
        values: ascending.
        counts: of each value.
        limits: any shape.
    """
    start = np.searchsorted(values, limits, side="right")
    return error_beyond([sums[start] for sums in tail_sums(values, counts)], limits)


def tail_sums(values: Float64, counts: Float64) -> list[Float64]:
    """Return the sums of ``count * value^p`` from each place on, for p = 0, 1 and 2.

    Args:
        values: float64 ``[..., N]``.
        counts: likewise.

    Returns:
        float64 ``[..., N + 1]`` each; the last place has nothing behind it.
    """
    ends = [(0, 0)] * (values.ndim - 1) + [(0, 1)]
    sums = [
        np.cumsum((counts * values**power)[..., ::-1], axis=-1)[..., ::-1] for power in (0, 1, 2)
    ]
    return [np.pad(found, ends) for found in sums]


def error_beyond(sums: Sequence[Float64], limits: Float64) -> Float64:
    """Return the sum of ``count * (value - limit)^2`` from the sums of what lies beyond limits."""
    weight, first, second = sums
    # The three sums cancel where next to nothing is clipped; rounding must not make an error < 0.
    error: Float64 = np.maximum(second - 2.0 * limits * first + limits**2 * weight, 0.0)
    return error
