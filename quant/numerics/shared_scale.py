"""Choose the one scale and zero point that serve several tensors best.

The inputs of a Concat share scale and zero point, so a dense block reads its trunk tensor and its
growth tensors on one grid. A growth tensor is rounded twice: before its LeakyReLU and behind it.
On the *same* step the second rounding finds every non-negative value on its grid already
(quant/numerics/pre_activation_scale.py), so the step of a block is chosen for both roundings
together:

    sum over members of  mse(x, QDQ(x))                               plain tensors
                       + min over z of mse(y, QDQ(leaky(QDQ_z(x))))   before and behind LeakyReLU

over a ladder of steps around the one that suits the merged values, and a few zero points. Members
count alike whatever their number of channels: a convolution's weights balance them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quant.numerics.affine import SMALLEST_SCALE, IntegerType, affine_parameters, covered_range
from quant.numerics.distribution import Distribution, least_squares_range, merge
from quant.numerics.pre_activation_scale import Affine, chain_errors, round_trip

# Steps tried: the merged values' own times 2^(k/8), the likeliest first.
_LADDER = np.exp2(np.array(sorted(range(-4, 9), key=abs)) / 8.0)
# Zero points tried for the QDQ pair before an activation, as shares of the integer range.
_BEFORE = (0.5, 0.4375, 0.5625, 0.375, 0.625, 0.25, 0.75, 0.125, 0.875, 0.0, 1.0)


@dataclass(frozen=True)
class Member:
    """One tensor of a group.

    Attributes:
        values: its distribution.
        slope: of the LeakyReLU that made it from a quantized tensor; ``None`` for any other.
    """

    values: Distribution
    slope: float | None = None


def choose_shared(
    members: Sequence[Member],
    integer: IntegerType,
    *,
    symmetric: bool,
    minimum_range: float,
    clipping_weight: float = 1.0,
) -> Affine:
    """Return scale and zero point with the least summed error over all members.

    Args:
        members: at least one.
        integer: type of the quantized values.
        symmetric: the zero point must be 0.
        minimum_range: smallest width that the quantized range must span.
        clipping_weight: how much worse a squared error of clipping is than one of rounding.
    """
    merged = merge(member.values for member in members)
    low, high = least_squares_range(
        merged, integer, symmetric=symmetric, clipping_weight=clipping_weight
    )
    start = Affine(*affine_parameters(low, high, integer, symmetric=symmetric))
    floor = max(minimum_range / integer.span, SMALLEST_SCALE)
    best, least = start, np.inf
    for scale in dict.fromkeys(float(np.float32(max(start.scale * k, floor))) for k in _LADDER):
        for zero_point in _zero_points(start.zero_point, integer, symmetric=symmetric):
            shared = Affine(scale, zero_point)
            error = 0.0
            for member in members:
                error += _error(
                    member, shared, integer, symmetric=symmetric, clipping_weight=clipping_weight
                )
                if error >= least:
                    break
            else:
                best, least = shared, error
    return best


def _zero_points(own: int, integer: IntegerType, *, symmetric: bool) -> tuple[int, ...]:
    if symmetric:
        return (0,)
    middle = integer.qmin + (integer.span + 1) // 2
    return tuple(dict.fromkeys((own, (own + middle) // 2, middle)))


def _error(
    member: Member,
    shared: Affine,
    integer: IntegerType,
    *,
    symmetric: bool,
    clipping_weight: float,
) -> float:
    values = member.values
    if member.slope is None:
        low, high = covered_range(shared.scale, shared.zero_point, integer)
        within = (values.values >= low) & (values.values <= high)
        squared = (round_trip(values.values, shared, integer) - values.values) ** 2
        weights = np.where(within, 1.0, clipping_weight) * values.counts
        return float(np.dot(squared, weights) / values.counts.sum())
    befores = [shared] if symmetric else list(_befores(shared.scale, integer))
    errors = chain_errors(
        values, member.slope, integer, befores, shared, clipping_weight=clipping_weight
    )
    return float(errors.min())


def _befores(scale: float, integer: IntegerType) -> Iterator[Affine]:
    for share in _BEFORE:
        yield Affine(scale, integer.qmin + round(share * integer.span))
