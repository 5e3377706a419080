"""Tell what a channel loses on a grid of any step, and which step suits it best.

A channel with values v, of probabilities p(v), on a grid of step s whose zero point lies at the
share z of its 255 steps:

    E(z, s) = s^2/12 + c * sum over v > (1 - z) 255 s of p(v) (v - (1 - z) 255 s)^2
                     + c * sum over v < -z 255 s a of p(v) (v + z 255 s a)^2

``a`` is 1, or the channel's slope of the activation behind the grid if v are its outputs: what is
clipped before it is missing by that much less behind it. ``c`` says how much worse clipping is than
rounding (quant/numerics/clipping_weights.py).

Channels of one tensor share the zero point, and a step each of them gets by being rescaled
(quant/passes/equalize.py). Steps are powers of ``2**(1 / STEPS_PER_OCTAVE)``, told by their
exponent.
"""

from dataclasses import dataclass

import numpy as np

from calib.arrays import Bool, Float64, Int64
from quant.numerics.distribution import clipping_error

STEPS_PER_OCTAVE = 8
_SPAN = 255
_FREE_ZEROS = np.arange(4, 13) / 16.0
_MIDDLE = np.array([0.5])
# From the step that just covers a channel down: clipping nine tenths of it or more is of no use.
_OCTAVES = 4
# No channel counts as smaller than this, or than this share of the tensor's largest.
_SMALLEST, _SMALLEST_SHARE = 2.0**-100, 2.0**-20


@dataclass(frozen=True, eq=False)
class StepErrors:
    """Mean squared errors of the channels of a tensor.

    Attributes:
        first: exponent of the smallest step.
        errors: float64 ``[Z, C, S]``, by zero point, channel and step.
        living: bool ``[C]``: which channels ever differ from 0 by more than a trace.
    """

    first: int
    errors: Float64
    living: Bool

    @classmethod
    def of(
        cls,
        values: Float64,
        counts: Float64,
        slopes: Float64,
        *,
        symmetric: bool,
        clipping_weight: float = 1.0,
    ) -> "StepErrors":
        """Measure the channels of a tensor on every grid of the ladder.

        Args:
            values: float64 ``[C, N]``, ascending.
            counts: float64 ``[C, N]``, not all 0 in any channel.
            slopes: float64 ``[C]``, of the activation behind the grid, whose outputs the values
                are, not negative; 1 where there is none.
            symmetric: the zero point is in the middle.
            clipping_weight: how much worse a squared error of clipping is than one of rounding.
        """
        reach = _reach(values, slopes)
        smallest = max(float(reach.max()) * _SMALLEST_SHARE, _SMALLEST)
        covering = np.log2(np.maximum(reach, smallest) * 2.0 / _SPAN) * STEPS_PER_OCTAVE
        first = int(np.ceil(covering.min())) - _OCTAVES * STEPS_PER_OCTAVE
        steps = np.exp2(np.arange(first, int(np.ceil(covering.max())) + 2) / STEPS_PER_OCTAVE)
        zeros = (_MIDDLE if symmetric else _FREE_ZEROS)[:, np.newaxis]
        highs, lows = (1.0 - zeros) * _SPAN * steps, zeros * _SPAN * steps
        shares = counts / counts.sum(axis=1, keepdims=True)
        clipped = [
            clipping_error(v, p, highs) + clipping_error(-v[::-1], p[::-1], lows * a)
            for v, p, a in zip(values, shares, slopes, strict=True)
        ]
        errors = clipping_weight * np.stack(clipped, axis=1) + np.square(steps) / 12.0
        return cls(first, errors, reach > smallest)

    @property
    def best(self) -> Int64:
        """int64 ``[C]``: exponent of each channel's best step, under the best zero point of all.

        Channels count by their logarithms: each is rescaled to the others' size.
        """
        zero = int(np.log(self.errors.min(axis=2)).sum(axis=1).argmin())
        exponents: Int64 = self.first + self.errors[zero].argmin(axis=1)
        return exponents

    def at(self, exponents: Int64) -> Float64:
        """Return the errors ``[Z, C, K]`` at the steps of exponents ``[C, K]``.

        Beyond either end of the ladder the error grows as the square of the distance from it.
        """
        place = exponents - self.first
        inside = place.clip(0, self.errors.shape[2] - 1)
        found = np.take_along_axis(self.errors, inside[np.newaxis], axis=2)
        beyond: Float64 = found * np.exp2(2.0 * np.abs(place - inside) / STEPS_PER_OCTAVE)
        return beyond


def _reach(values: Float64, slopes: Float64) -> Float64:
    """Return ``[C]``, the largest magnitude on the grid."""
    below = np.divide(-values[:, 0], slopes, out=np.zeros(len(values)), where=slopes > 0.0)
    reach: Float64 = np.maximum(np.maximum(values[:, -1], below), 0.0)
    return reach
