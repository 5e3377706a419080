"""Round the weight of a convolution to int8 by GPTQ.

Rounding each weight to the nearest value makes the weights' error smallest. What counts is the
output's, which for an input x of second moment H is, per output channel,

    (w - q) H (w - q)^T

GPTQ (Frantar et al., 2022, arXiv:2210.17323; after OBQ) walks over the weights; it rounds one, and
lets those that are still free make up for its error. With U upper and U^T U = H^-1, rounding
weight k by e_k moves the later ones by -e_k / U[k,k] * U[k, k+1:].

The walk goes from the last column to the first. In that order U is L^-1 of the ordinary Cholesky
factorization H = L L^T, read backwards, and the factor of a convolution that reads only the first
columns is a part of that of one that reads them all. GPTQ's own order, the most strongly driven
column first, gave no better pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from calib.arrays import Float32, Float64, Int8
from quant.numerics.saturation_limits import PAIR_LIMIT, SaturationLimits

Bound = Float32 | int

# Share of the mean variance that is added to every column's: keeps the factorization stable, and
# weights that nothing drives in place. GPTQ's own value.
DAMPING = 0.01
# Columns whose effect on all later ones is applied as one matrix product.
_BLOCK = 96
# Root mean square, in quantization steps, by which a channel may leave its float weights. Rounding
# to nearest stays under 0.5, and every channel of x4plus-anime-6b under 0.54.
DRIFT_LIMIT = 1.0


@dataclass(frozen=True, eq=False)
class SecondMoment:
    """The second moment of a convolution's input columns, ready to round by.

    Attributes:
        matrix: float32 ``[K, K]``, divided by its mean variance; zeros if nothing is driven.
        inverse: float32 ``[K, K]``, the inverse of the lower Cholesky factor of the damped
            matrix; ``None`` if nothing is driven.
    """

    matrix: Float32
    inverse: Float32 | None

    @classmethod
    def of(cls, matrix: Float32) -> "SecondMoment":
        """Factorize a float32 ``[K, K]`` matrix, symmetric and positive semidefinite."""
        driven = float(np.diag(matrix).mean()) if matrix.size else 0.0
        if not driven > 0.0:
            return cls(matrix, None)
        matrix = matrix / np.float32(driven)
        damped = matrix.copy()
        damped[np.diag_indices_from(damped)] += np.float32(DAMPING)
        lower = scipy.linalg.cholesky(damped, lower=True, overwrite_a=True, check_finite=False)
        inverse, _ = scipy.linalg.lapack.strtri(lower, lower=1)
        return cls(matrix, inverse)

    def leading(self, columns: int) -> "SecondMoment":
        """Return the moment of the first ``columns`` columns, without factorizing again.

        The leading part of a Cholesky factor is the factor of the leading part, and so is its
        inverse: one factorization serves all convolutions of a dense block.
        """
        inverse = None if self.inverse is None else self.inverse[:columns, :columns]
        return SecondMoment(self.matrix[:columns, :columns], inverse)


@dataclass(frozen=True, eq=False)
class ScaledWeight:
    """A weight to be rounded.

    Attributes:
        values: float32 ``[O, I, ...]``, of ``K`` values per output channel.
        scales: float32 ``[O]``, positive.
        limits: which codes there are.
    """

    values: Float32
    scales: Float32
    limits: SaturationLimits

    @cached_property
    def steps(self) -> Float32:
        """float32 ``[O, K]``, the weight in units of its scales."""
        return self.values.reshape(len(self.values), -1) / self.scales[:, np.newaxis]

    @property
    def columns(self) -> int:
        """``K``."""
        return int(self.steps.shape[1])


def gptq(weight: Float32, moment: SecondMoment, scales: Float32, limits: SaturationLimits) -> Int8:
    """Return int8 weights whose output error is never above that of rounding to nearest.

    Args:
        weight: float32 ``[O, I, ...]``, of ``K`` values per output channel.
        moment: of the ``K`` input columns, centred if the bias makes up for a changed mean.
        scales: float32 ``[O]``, positive.
        limits: which int8 values are allowed.

    Returns:
        int8, the shape of ``weight``.
    """
    (codes,) = gptq_together([ScaledWeight(weight, scales, limits)], moment)
    return codes


def gptq_together(weights: Sequence[ScaledWeight], moment: SecondMoment) -> list[Int8]:
    """Return what :func:`gptq` returns for each of several weights, bit for bit.

    Args:
        weights: each of the first columns, or all, of ``moment``.
        moment: of the input columns of the widest.
    """
    nearest = [w.limits.round_to_nearest(w.steps.reshape(w.values.shape)) for w in weights]
    if moment.inverse is None:
        return nearest
    walked = [np.empty(0, np.int8)] * len(weights)
    for numbers in _walks(weights).values():
        for number, codes in zip(
            numbers, _compensated([weights[n] for n in numbers], moment), strict=True
        ):
            walked[number] = codes
    return list(map(_better, weights, nearest, walked, [moment] * len(weights)))


def _walks(weights: Sequence[ScaledWeight]) -> dict[tuple[object, ...], list[int]]:
    """Return the positions of the weights that are rounded in one walk, the widest first.

    A row costs some twenty numpy calls whatever its length: the five convolutions of a dense
    block take 1,728 rows together, one by one 5,760. They join a walk at the start of a block of
    columns, and must agree on which channels are neighbours.
    """
    walks: dict[tuple[object, ...], list[int]] = {}
    for number in sorted(range(len(weights)), key=lambda n: -weights[n].columns):
        weight = weights[number]
        channels = weight.values.shape[1]
        area = weight.columns // channels
        key = (weight.limits, channels % 2, area, weight.columns % _BLOCK)
        walks.setdefault(key, []).append(number)
    return walks


def _better(weight: ScaledWeight, nearest: Int8, codes: Int8, moment: SecondMoment) -> Int8:
    """Return, channel by channel, ``codes`` where they are better than the nearest and near."""
    matrix = moment.leading(weight.columns).matrix
    steps, shape = weight.steps, weight.values.shape
    better = _output_error(steps, codes, matrix) < _output_error(
        steps, nearest.reshape(steps.shape), matrix
    )
    codes = codes.reshape(shape)
    better &= code_drift(weight.values, codes, weight.scales, weight.limits) <= DRIFT_LIMIT
    return np.where(better.reshape(-1, *[1] * (len(shape) - 1)), codes, nearest)


def code_drift(weight: Float32, codes: Int8, scales: Float32, limits: SaturationLimits) -> Float64:
    """Return ``[O]``: root mean square distance of int8 and float weights, in steps.

    A weight that its scale clips counts as one at the end of the int8 range.

    Args:
        weight: float32 ``[O, I, ...]``.
        codes: int8, the same shape.
        scales: float32 ``[O]``.
        limits: which int8 values are allowed.
    """
    steps = weight.astype(np.float64) / scales.reshape(-1, *[1] * (weight.ndim - 1))
    away = (limits.clamp(steps) - codes).reshape(len(codes), -1)
    drift: Float64 = np.sqrt(np.mean(away**2, axis=1))
    return drift


@dataclass(frozen=True)
class _RowRounder:
    """Rounds one row of steps after the other, the last column of a weight first.

    Attributes:
        limits: which int8 values are allowed.
        channels: input channels of the weight.
        area: columns of one channel.
    """

    limits: SaturationLimits
    channels: int
    area: int

    def code(self, row: int, steps: Float32, codes: Int8) -> Float32:
        """Return the int8 weights of a row, as float32 ``[O]``.

        Args:
            row: which.
            steps: ``[K, O]``, what is left of the weights; the rows behind are not rounded yet.
            codes: ``[K, O]``, those of the rows before.
        """
        step = steps[row]
        lowest: Bound = -self.limits.largest(self.channels)
        highest: Bound = self.limits.largest(self.channels)
        coupled = self.limits.channels_paired(self.channels)
        channel = (len(steps) - 1 - row) // self.area
        if coupled and channel % 2:  # the neighbour is still free: leave it its share
            beside = steps[row + self.area]
            excess = np.maximum(np.abs(step) + np.abs(beside) - PAIR_LIMIT, 0.0)
            share = np.where(step * beside > 0.0, excess / 2.0, 0.0)
            step = np.sign(step) * np.maximum(np.abs(step) - share, 0.0)
        elif coupled:
            taken = codes[row - self.area].astype(np.float32)
            lowest = np.maximum(-PAIR_LIMIT - np.minimum(taken, 0.0), lowest)
            highest = np.minimum(PAIR_LIMIT - np.maximum(taken, 0.0), highest)
        rounded: Float32 = np.rint(step).clip(lowest, highest)
        return rounded


def _compensated(weights: Sequence[ScaledWeight], moment: SecondMoment) -> list[Int8]:
    """Round row by row, each row's error spread over the rows behind it; codes int8 ``[O, K]``.

    Args:
        weights: those of one walk, the widest first.
        moment: of its columns or more.
    """
    widest = weights[0]
    inverse = moment.leading(widest.columns).inverse
    assert inverse is not None  # the caller's condition
    factor = np.ascontiguousarray(inverse[::-1, ::-1])
    channels = widest.values.shape[1]
    rounder = _RowRounder(widest.limits, channels, widest.columns // channels)
    ends = np.cumsum([len(weight.steps) for weight in weights])
    places = [
        slice(int(end) - len(w.steps), int(end)) for w, end in zip(weights, ends, strict=True)
    ]
    starts = [widest.columns - weight.columns for weight in weights]
    left = np.zeros((widest.columns, int(ends[-1])), np.float32)
    for weight, place, start in zip(weights, places, starts, strict=True):
        left[start:, place] = weight.steps[:, ::-1].T
    codes = np.empty(left.shape, np.int8)
    for start in range(0, len(left), _BLOCK):
        walking = places[: np.searchsorted(starts, start, side="right")]
        _round_block(slice(start, start + _BLOCK), walking, left, codes, factor, rounder)
    return [
        np.ascontiguousarray(codes[start:, place][::-1].T)
        for place, start in zip(places, starts, strict=True)
    ]


def _round_block(  # noqa: PLR0913, PLR0917  # the state of a walk
    block: slice,
    walking: Sequence[slice],
    left: Float32,
    codes: Int8,
    factor: Float32,
    rounder: _RowRounder,
) -> None:
    """Round the rows of a block of the weights in the columns ``walking``, in place."""
    width = walking[-1].stop
    stop = min(block.stop, len(left))
    steps, chosen = left[:, :width], codes[:, :width]
    errors = np.empty((stop - block.start, width), np.float32)
    for row in range(block.start, stop):
        code = rounder.code(row, steps, chosen)
        chosen[row] = code
        error = errors[row - block.start]
        np.divide(steps[row] - code, factor[row, row], out=error)
        steps[row + 1 : stop] -= factor[row, row + 1 : stop, np.newaxis] * error
    # One product for each weight: how a product of all rounds depends on its width.
    for place in walking:
        left[stop:, place] -= factor[block.start : stop, stop:].T @ errors[:, place]


def _output_error(steps: Float32, codes: Int8, moment: Float32) -> Float64:
    """Return ``[O]``: mean square of what rounding changes in each output channel."""
    away = steps - codes
    error: Float64 = np.einsum("ok,ok->o", away @ moment, away, dtype=np.float64)
    return error
