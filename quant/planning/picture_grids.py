"""Put what a network adds to its picture on the picture's own grid, where that loses less.

The sum is exact only if no QDQ pair beside the Add has another step: targets whose zero points are
all 0 hold pictures in steps of 1/127.
"""

from collections.abc import Sequence

from quant.analysis.picture_sums import picture_sum
from quant.analysis.tensor_distributions import PINNED_RANGE
from quant.numerics.affine import INTEGER_TYPES, IntegerType, affine_parameters
from quant.numerics.picture_grid import PICTURE_STEP, picture_grid
from quant.numerics.pre_activation_scale import Affine
from quant.numerics.shared_scale import Member, rounding_error
from quant.planning.qdq_placement import Edge, Placement


def own_grid_of_picture(
    placement: Placement,
    edges: Sequence[Edge],
    member: Member,
    integer: IntegerType,
    free: Affine,
) -> Affine | None:
    """Return the picture's grid for edges that share one, ``None`` if it does not serve them best.

    Args:
        placement: which edges there are.
        edges: those of one grid.
        member: their values, the same on all.
        integer: type of the quantized values.
        free: the grid that suits the values alone.
    """
    if integer.span != INTEGER_TYPES["uint8"].span:
        return None
    if not all(_is_exact(placement, edge.tensor) for edge in edges):
        return None
    values, weight = member.values, member.clipping_weight
    grid, clipped = picture_grid(values, integer, symmetric=placement.profile.symmetric)
    return grid if weight * clipped < rounding_error(values, free, integer, weight) else None


def _is_exact(placement: Placement, tensor: str) -> bool:
    """Tell whether a tensor is added to the picture, and no pair beside the Add rounds that."""
    beside = picture_sum(placement.topology, tensor)
    return beside is not None and all(
        _pinned_step(placement, edge) == PICTURE_STEP
        for edge in placement.edges
        if edge.tensor in beside
    )


def _pinned_step(placement: Placement, edge: Edge) -> float:
    integer = placement.profile.integer(edge.precision)
    scale, _ = affine_parameters(*PINNED_RANGE, integer, symmetric=placement.profile.symmetric)
    return scale
