"""Choose what the channels between two convolutions are divided by, and which way round they are.

A channel v goes through y = v for v >= 0, a v below, with a grid before and one behind. Both have
the same step, 1, and zero point, z, so what is not negative is rounded once, to steps of what the
channel is divided by, f. Its error behind both grids is, in units of v,

    E(f) =   P(v >= 0) f^2/12 + c clipped(v > (255 - z) f)
           + P(v < 0) a^2 f^2/12 + min(P(v < 0) f^2/12, a^2 E[v^2; v < 0])
           + c a^2 clipped(-v > min(z, z/a) f)              (255 - z)/|a| in place of z/a if a < 0

where clipped(v > l) is the mean of (v - l)^2 over what lies beyond l, and c what clipping weighs
(quant/numerics/clipping_weights.py). Without a grid before the activation there is no third term,
nor the limit z. Turned round, the channel is -v and the slope 1/a (quant/passes/reversal.py): its
sides change places, and with them what is rounded once and what twice.

What the channels gain by a small f the next convolution's weights lose, whose row has one step:

    N = sum over rows o of r_o / 12 (max_i W_oi f_i / 127)^2 * sum over i of n E[y_i^2] / f_i^2

with n weights to a channel. What counts is the sum over channels of g_i E(f_i), where g_i = sum_o
r_o |W_oi|^2 is how much of an error reaches the output, and a share of N: GPTQ takes up most of
what weights lose. The zero point is the one of the least sum without N, factors then follow channel
by channel (coordinate descent).
"""

from dataclasses import dataclass

import numpy as np

from calib.arrays import Bool, Float64, Int64
from quant.numerics.distribution import error_beyond, tail_sums
from quant.numerics.grids import Grids

STEPS_PER_OCTAVE = 8
WEIGHTS_SHARE = 0.1
"""How much of what rounding weights to the nearest loses counts."""
SMALLEST_SLOPE = 0.02
"""Channels of slopes nearer to 0 are not turned round: 1/a would spoil fp16 and weights."""

_SPAN = 255
_WEIGHT_SPAN = 127
# Exponents tried, from where the larger side takes 160 steps.
_STEPS = 160
_LADDER = np.arange(-12, 21)
_ZEROS = tuple(range(0, _SPAN + 1, 16))
_CLOSER = 8, 4
_MIDDLE = 128
# Beyond all steps.
_FAR = 1e30
_SWEEPS = 3


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels between two convolutions.

    Attributes:
        values: float64 ``[C, N]``, before the activation, ascending.
        shares: float64 ``[C, N]``, of each value; they sum to 1 in each channel.
        slopes: float64 ``[C]``.
        reversible: bool ``[C]``: which may be turned round.
        largest: float64 ``[O, C]``, largest weight of each row of the convolutions that read them.
        squares: float64 ``[O, C]``, sum of its squared weights.
        taps: weights to a channel and a row.
        rows: float64 ``[O]``, how much a squared error of each row counts.
    """

    values: Float64
    shares: Float64
    slopes: Float64
    reversible: Bool
    largest: Float64
    squares: Float64
    taps: int
    rows: Float64

    @property
    def gains(self) -> Float64:
        """float64 ``[C]``: how much a squared error of each channel counts, behind activation."""
        found: Float64 = (self.rows[:, np.newaxis] * self.squares).sum(axis=0)
        return found

    @property
    def gains_before(self) -> Float64:
        """float64 ``[C]``: the same before the activation."""
        positive = np.where(self.values >= 0.0, self.shares, 0.0).sum(axis=1)
        found: Float64 = self.gains * (positive + (1.0 - positive) * np.square(self.slopes))
        return found


@dataclass(frozen=True, eq=False)
class ChannelFactors:
    """What is chosen.

    Attributes:
        exponents: int64 ``[C]``; the activation's outputs are divided by
            ``2**(exponent / STEPS_PER_OCTAVE)``.
        reversed: bool ``[C]``.
    """

    exponents: Int64
    reversed: Bool


def choose_factors(channels: Channels, grids: Grids) -> ChannelFactors:
    """Return the factors with which the next convolution's output has the least error.

    Channels that are always 0 get the median of the others.
    """
    chain = _Chain(channels, grids)
    living = chain.reach > 0.0
    if not living.any():
        count = len(living)
        return ChannelFactors(np.zeros(count, np.int64), np.zeros(count, bool))
    start = np.zeros(len(living))
    start[living] = np.log2(chain.reach[living] / _STEPS) * STEPS_PER_OCTAVE
    ladder = np.rint(start).astype(np.int64)[:, np.newaxis] + _LADDER
    errors = chain.least(ladder)
    # Behind the ladder of the factors as they are stands the one of channels turned round.
    exponents = np.concatenate([ladder, ladder], axis=1)
    chosen = _with_weights(channels, errors, np.exp2(exponents / STEPS_PER_OCTAVE), living)
    found = np.take_along_axis(exponents, chosen[:, np.newaxis], axis=1)[:, 0]
    found[~living] = int(np.median(found[living]))
    return ChannelFactors(found, living & (chosen >= ladder.shape[1]))


class _Side:
    """What the channels hold above 0, or below, by how much of it reaches their outputs."""

    def __init__(self, values: Float64, shares: Float64, gains: Float64) -> None:
        """Take magnitudes ``[C, N]``, ascending, 0 for values of the other side; gains ``[C]``."""
        self._values = values
        self._sums = tail_sums(values, shares)
        self.gains = gains[:, np.newaxis]
        self.reach = gains * values[:, -1]
        self.share = np.where(values > 0.0, shares, 0.0).sum(axis=1, keepdims=True)
        self.power = np.square(self.gains) * self._sums[2][:, :1]

    def clipped(self, limits: Float64) -> Float64:
        """Return the mean squared error of the outputs if values end at limits ``[C, K]``."""
        ends = zip(self._values, limits, strict=True)
        places = np.stack([np.searchsorted(v, limit, side="right") for v, limit in ends])
        beyond = [np.take_along_axis(sums, places, axis=1) for sums in self._sums]
        found: Float64 = np.square(self.gains) * error_beyond(beyond, limits)
        return found


class _Chain:
    """Channels between two grids of one step and zero point, or before one."""

    def __init__(self, channels: Channels, grids: Grids) -> None:
        values, shares, slopes = channels.values, channels.shares, np.abs(channels.slopes)
        up, down = np.maximum(values, 0.0), np.maximum(-values, 0.0)[:, ::-1]
        self._grids = grids
        self._falling = channels.slopes[:, np.newaxis] < 0.0
        self._gains = channels.gains[:, np.newaxis]
        self._fixed = ~channels.reversible | (slopes < SMALLEST_SLOPE)
        self._above = _Side(up, shares, np.ones(len(slopes)))
        self._below = _Side(down, shares[:, ::-1], slopes)
        self._turned = _Side(down, shares[:, ::-1], np.maximum(slopes, SMALLEST_SLOPE))
        self.reach = np.maximum(self._above.reach, self._below.reach)

    def least(self, ladder: Int64) -> Float64:
        """Return the errors ``[C, 2 K]`` under the zero point of the least sum.

        Args:
            ladder: exponents ``[C, K]``. Errors of channels as they are come first.
        """
        factors = np.exp2(ladder / STEPS_PER_OCTAVE)
        zeros = (_MIDDLE,) if self._grids.symmetric else _ZEROS
        found = {zero: self._errors(factors, zero) for zero in zeros}

        def total(zero: int) -> float:
            if zero not in found:
                found[zero] = self._errors(factors, zero)
            return float(found[zero].min(axis=1).sum())

        best = min(found, key=total)
        for stride in () if self._grids.symmetric else _CLOSER:
            near = [zero for zero in (best, best - stride, best + stride) if 0 <= zero <= _SPAN]
            best = min(near, key=total)
        return found[best]

    def _errors(self, factors: Float64, zero: int) -> Float64:
        kept = self._one_way(self._above, self._below, factors, zero)
        turned = self._one_way(self._turned, self._above, factors, zero)
        turned[self._fixed] = np.inf
        errors: Float64 = np.concatenate([kept, turned], axis=1) * self._gains
        return errors

    def _one_way(self, upper: _Side, lower: _Side, factors: Float64, zero: int) -> Float64:
        """Return the errors ``[C, K]`` of channels with one side above 0 and the other below."""
        before, slopes = factors / upper.gains, lower.gains / upper.gains
        high = _SPAN - zero
        room = np.where(self._falling, high, zero)
        low = np.divide(room, slopes, out=np.full(slopes.shape, _FAR), where=slopes > 0.0)
        noise = np.square(factors) / 12.0
        rounded = noise * upper.share + np.minimum(noise * lower.share, lower.power)
        if self._grids.before_activation:
            low = np.minimum(low, zero)
            rounded = rounded + noise * np.square(slopes) * lower.share
        clipped = upper.clipped(high * before) + lower.clipped(low * before)
        found: Float64 = rounded + self._grids.clipping_weight * clipped
        return found


def _with_weights(channels: Channels, errors: Float64, factors: Float64, living: Bool) -> Int64:
    """Return which of the factors ``[C, 2 K]`` each channel takes, what weights lose counted in."""
    values = channels.values
    outputs = np.where(values < 0.0, values * channels.slopes[:, np.newaxis], values)
    power = (channels.shares * np.square(outputs)).sum(axis=1)
    per_step = WEIGHTS_SHARE * channels.taps / 12.0 / _WEIGHT_SPAN**2
    chosen: Int64 = errors.argmin(axis=1)
    own = factors[np.arange(len(chosen)), chosen]
    scaled = channels.largest * np.where(living, own, 0.0)
    spread = np.where(living, power / np.square(own), 0.0)
    for _ in range(_SWEEPS):
        for channel in np.flatnonzero(living):
            scaled[:, channel], spread[channel] = 0.0, 0.0
            tried = factors[channel]
            rows = np.maximum(
                scaled.max(axis=1)[:, np.newaxis],
                channels.largest[:, channel, np.newaxis] * tried,
            )
            noise = (channels.rows[:, np.newaxis] * np.square(rows)).sum(axis=0)
            lost = noise * (spread.sum() + power[channel] / tried**2)
            chosen[channel] = best = int((errors[channel] + per_step * lost).argmin())
            scaled[:, channel] = channels.largest[:, channel] * tried[best]
            spread[channel] = power[channel] / tried[best] ** 2
    return chosen
