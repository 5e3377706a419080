"""Say how much of a tensor a planned range holds, and let one of 16 bits reach further.

Where a range ends is a choice between clipping and a coarser grid. With 8 bits the codes are all
spent on what calibration saw: a range that holds a test chart costs photographs decibels
(docs/decisions/0016-a-test-chart-is-shown-not-calibrated-on.md). With 16 bits a grid that is four
times as coarse is still 64 times as fine as one of 8, far below what int8 weights lose, and holds
pictures that nothing was calibrated on: text, drawings, noise.
"""

from dataclasses import replace

from quant.analysis.activation_slopes import clipped_on_grid
from quant.analysis.tensor_distributions import TensorDistributions
from quant.numerics.affine import IntegerType, covered_range
from quant.numerics.half import FloatType, stored_scale
from quant.numerics.pre_activation_scale import Affine
from quant.plan import EdgeQuant

ROOM = 4
"""How many times as far as calibration's values a range of 16 bits reaches.

The least that clips nothing of a test chart: a chip's own rounding grows with the step
(docs/decisions/0025-ranges-of-16-bits.md). A power of two: scales keep their ratios, and what fp16
holds exactly it still does.
"""

_MANY_CODES = 2**15
_PERCENTILE_DIGITS = 6


def held_percentile(
    distributions: TensorDistributions, tensor: str, integer: IntegerType, affine: Affine
) -> float:
    """Return how many percent of a tensor's values a range does not clip, to a millionth."""
    outside = clipped_on_grid(distributions, tensor, affine, integer)
    return round(100.0 * (1.0 - outside), _PERCENTILE_DIGITS)


def reaching_further(
    edge: EdgeQuant, distributions: TensorDistributions, float_type: FloatType
) -> EdgeQuant:
    """Return an edge of 16 bits whose range was searched for with :data:`ROOM`; any other as it is.

    Args:
        edge: as the values that calibration saw ask for it.
        distributions: of all tensors.
        float_type: what scales are stored in.
    """
    if edge.integer.span < _MANY_CODES or edge.rule.startswith(("pinned", "percentile")):
        return edge
    scale = stored_scale(ROOM * edge.scale, float_type)
    return with_scale(edge, scale, f"{edge.rule}, {ROOM} times as wide", distributions)


def with_scale(
    edge: EdgeQuant, scale: float, rule: str, distributions: TensorDistributions
) -> EdgeQuant:
    """Return an edge with another scale, and what follows from it; its zero point stays."""
    affine = Affine(scale, edge.zero_point)
    low, high = covered_range(scale, edge.zero_point, edge.integer)
    held = held_percentile(distributions, edge.tensor, edge.integer, affine)
    return replace(edge, scale=scale, low=low, high=high, rule=rule, percentile=held)
