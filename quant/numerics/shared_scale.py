"""Choose the one scale, and the zero points, that serve several tensors best.

The inputs of a Concat share a scale, so a dense block reads its trunk tensor and its growth tensors
on one grid, or on grids of one step with zero points of their own
(quant/planning/integer_concats.py). A growth tensor is rounded twice: before its LeakyReLU and
behind it. On the *same* step the second rounding finds every non-negative value on its grid already
(quant/numerics/pre_activation_scale.py), so the step of a block is chosen for both roundings
together:

    sum over members of  w mse(x, QDQ(x))                               plain tensors
                       + min over z of w mse(y, QDQ(leaky(QDQ_z(x))))   before and behind LeakyReLU

over a ladder of steps around the one that suits the merged values, and a few zero points, the same
for all members or the best of each. The pair before the activation may have a larger step too:
where it has two of those behind it, what is not negative still finds itself on the grid, negative
values are rounded half as coarsely, and the codes that they leave unused behind the activation are
used. A member's weight w does not follow from its number of channels: a convolution's weights
balance them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quant.numerics.affine import SMALLEST_SCALE, IntegerType, affine_parameters, covered_range
from quant.numerics.distribution import Distribution, least_squares_range, merge
from quant.numerics.pre_activation_scale import Affine, chain_errors, round_trip

# Steps tried: the merged values' own times 2^(k/8), the likeliest first; behind an activation,
# which leaves half of the codes of its input unused, further down.
_LADDER = np.exp2(np.array(sorted(range(-4, 9), key=abs)) / 8.0)
_LADDER_DOWN = np.exp2(np.array(sorted(range(-10, 9), key=abs)) / 8.0)
# Zero points tried for each member alone, as shares of the integer range.
_OWN = (0.0625, 0.125, 0.1875, 0.25, 0.3125, 0.375, 0.5)
# Steps tried for the pair before an activation, in steps behind it.
_WIDER = (1.0, 1.5, 2.0)
# Zero points tried for the QDQ pair before an activation, as shares of the integer range.
_BEFORE = (0.5, 0.4375, 0.5625, 0.375, 0.625, 0.25, 0.75, 0.125, 0.875, 0.0, 1.0)


@dataclass(frozen=True)
class Member:
    """One tensor of a group.

    Attributes:
        values: its distribution.
        slope: of the LeakyReLU that made it from a quantized tensor; ``None`` for any other.
        weight: how much its error counts.
        clipping_weight: how much worse a squared error of clipping is than one of rounding.
    """

    values: Distribution
    slope: float | None = None
    weight: float = 1.0
    clipping_weight: float = 1.0


def choose_shared(
    members: Sequence[Member],
    integer: IntegerType,
    *,
    symmetric: bool,
    minimum_range: float,
    own_zero_points: bool = False,
) -> tuple[Affine, ...]:
    """Return the grid of each member, of one scale, with the least summed error over all.

    Args:
        members: at least one.
        integer: type of the quantized values.
        symmetric: the zero point must be 0.
        minimum_range: smallest width that the quantized range must span.
        own_zero_points: each member may have another zero point; else they share it too.
    """
    merged = merge(member.values for member in members)
    low, high = least_squares_range(
        merged,
        integer,
        symmetric=symmetric,
        clipping_weight=min(member.clipping_weight for member in members),
    )
    start = Affine(*affine_parameters(low, high, integer, symmetric=symmetric))
    floor = max(minimum_range / integer.span, SMALLEST_SCALE)
    zero_points = _zero_points(start.zero_point, integer, symmetric=symmetric)
    choices: list[tuple[int, ...]] = [(zero_point,) for zero_point in zero_points]
    leaky = any(member.slope is not None for member in members)
    ladder = _LADDER_DOWN if leaky else _LADDER
    if own_zero_points and not symmetric:
        choices = [tuple(dict.fromkeys((*zero_points, *_shares(_OWN, integer))))]
    best, least = (start,) * len(members), np.inf
    for scale in dict.fromkeys(float(np.float32(max(start.scale * k, floor))) for k in ladder):
        befores = [] if symmetric else list(_befores(scale, integer))
        for offered in choices:
            chosen: list[Affine] = []
            error = 0.0
            for member in members:
                grids = [Affine(scale, zero_point) for zero_point in offered]
                errors = [_error(member, grid, integer, befores) for grid in grids]
                chosen.append(grids[int(np.argmin(errors))])
                error += min(errors)
                if error >= least:
                    break
            else:
                best, least = tuple(chosen), error
    return best


def _zero_points(own: int, integer: IntegerType, *, symmetric: bool) -> tuple[int, ...]:
    if symmetric:
        return (0,)
    middle = integer.qmin + (integer.span + 1) // 2
    return tuple(dict.fromkeys((own, (own + middle) // 2, middle)))


def _error(
    member: Member, shared: Affine, integer: IntegerType, befores: Sequence[Affine]
) -> float:
    """Return what a grid costs a member; without ``befores``, the pair before has the same."""
    values = member.values
    if member.slope is None:
        return member.weight * rounding_error(values, shared, integer, member.clipping_weight)
    errors = chain_errors(
        values,
        member.slope,
        integer,
        befores or [shared],
        shared,
        clipping_weight=member.clipping_weight,
    )
    return member.weight * float(errors.min())


def rounding_error(
    values: Distribution, grid: Affine, integer: IntegerType, clipping_weight: float
) -> float:
    """Return the mean squared error of a QDQ pair, in which clipping weighs as given."""
    low, high = covered_range(grid.scale, grid.zero_point, integer)
    within = (values.values >= low) & (values.values <= high)
    squared = (round_trip(values.values, grid, integer) - values.values) ** 2
    weights = np.where(within, 1.0, clipping_weight) * values.counts
    return float(np.dot(squared, weights) / values.counts.sum())


def _befores(scale: float, integer: IntegerType) -> Iterator[Affine]:
    for multiple in _WIDER:
        for zero_point in _shares(_BEFORE, integer):
            yield Affine(float(np.float32(scale * multiple)), zero_point)


def _shares(shares: Sequence[float], integer: IntegerType) -> tuple[int, ...]:
    return tuple(integer.qmin + round(share * integer.span) for share in shares)
