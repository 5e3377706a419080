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

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from quant.numerics.affine import FloatArray
from quant.numerics.saturation_limits import PAIR_LIMIT, Codes, SaturationLimits

Bound = FloatArray | int

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

    matrix: FloatArray
    inverse: FloatArray | None

    @classmethod
    def of(cls, matrix: FloatArray) -> "SecondMoment":
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


def gptq(
    weight: FloatArray, moment: SecondMoment, scales: FloatArray, limits: SaturationLimits
) -> Codes:
    """Return int8 weights whose output error is never above that of rounding to nearest.

    Args:
        weight: float32 ``[O, I, ...]``, of ``K`` values per output channel.
        moment: of the ``K`` input columns, centred if the bias makes up for a changed mean.
        scales: float32 ``[O]``, positive.
        limits: which int8 values are allowed.

    Returns:
        int8, the shape of ``weight``.
    """
    steps = weight.reshape(len(weight), -1) / scales[:, np.newaxis]
    nearest = limits.round_to_nearest(steps.reshape(weight.shape))
    if moment.inverse is None:
        return nearest
    factor = np.ascontiguousarray(moment.inverse[::-1, ::-1])
    rounder = _RowRounder(limits, weight.shape[1], steps.shape[1] // weight.shape[1])
    codes = np.ascontiguousarray(_compensated(steps[:, ::-1].T, factor, rounder)[::-1].T)
    better = _output_error(steps, codes, moment.matrix) < _output_error(
        steps, nearest.reshape(steps.shape), moment.matrix
    )
    codes = codes.reshape(weight.shape)
    better &= code_drift(weight, codes, scales, limits) <= DRIFT_LIMIT
    nearest[better] = codes[better]
    return nearest


def code_drift(
    weight: FloatArray, codes: Codes, scales: FloatArray, limits: SaturationLimits
) -> npt.NDArray[np.float64]:
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
    drift: npt.NDArray[np.float64] = np.sqrt(np.mean(away**2, axis=1))
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

    def code(self, row: int, steps: FloatArray, codes: Codes) -> FloatArray:
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
        rounded: FloatArray = np.rint(step).clip(lowest, highest)
        return rounded


def _compensated(steps: FloatArray, factor: FloatArray, rounder: _RowRounder) -> Codes:
    """Round ``steps`` ``[K, O]`` row by row, each row's error spread over the rows behind it."""
    left = np.ascontiguousarray(steps, np.float32)
    codes = np.empty(left.shape, np.int8)
    for start in range(0, len(left), _BLOCK):
        stop = min(start + _BLOCK, len(left))
        errors = np.empty((stop - start, left.shape[1]), np.float32)
        for row in range(start, stop):
            code = rounder.code(row, left, codes)
            codes[row] = code
            error = errors[row - start]
            np.divide(left[row] - code, factor[row, row], out=error)
            left[row + 1 : stop] -= factor[row, row + 1 : stop, np.newaxis] * error
        left[stop:] -= factor[start:stop, stop:].T @ errors
    return codes


def _output_error(steps: FloatArray, codes: Codes, moment: FloatArray) -> npt.NDArray[np.float64]:
    """Return ``[O]``: mean square of what rounding changes in each output channel."""
    away = steps - codes
    error: npt.NDArray[np.float64] = np.einsum("ok,ok->o", away @ moment, away, dtype=np.float64)
    return error
