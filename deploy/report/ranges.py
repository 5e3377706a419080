"""Find the tensors that their 8-bit range costs most.

The cost of a range is the error of quantizing a tensor's calibration values to it, relative to
their own power:

    loss = sum n (dequantize(quantize(v)) - v)^2 / sum n v^2

over the values v of the tensor's distribution with their counts n.
"""

from dataclasses import dataclass

import numpy as np

from calib.table import CalibrationTable
from quant.numerics.affine import dequantize, quantize
from quant.numerics.distribution import Distribution
from quant.passes.prepared import PreparedGraph
from quant.plan import EdgeQuant
from quant.qdq.zero_points import rounds

WORST = 6

_BYTE_TYPES = frozenset({"int8", "uint8"})


@dataclass(frozen=True, eq=False)
class ChosenRange:
    """The range of one tensor and what it is chosen for.

    Attributes:
        edge: scale, zero point, and how they were found.
        distribution: of the tensor's values over the calibration pictures.
        loss: what quantizing to the range costs, per power of the tensor.
    """

    edge: EdgeQuant
    distribution: Distribution
    loss: float


def costliest_ranges(
    prepared: PreparedGraph, table: CalibrationTable, count: int = WORST
) -> tuple[ChosenRange, ...]:
    """Return the observed tensors that lose most at 8 bits, the worst first.

    Args:
        prepared: the float model that the table was taken on, under the plan of one target.
        table: its calibration table.
        count: how many tensors at most.
    """
    distributions = prepared.distributions(table)
    found = []
    for edge in prepared.plan.edges.values():
        if not rounds(prepared.index, prepared.plan, edge):
            continue  # what is joined there is rounded already
        # A second QDQ pair quantizes what the first one left: its tensor is not what was observed.
        if edge.tensor in table.tensors and edge.after is None and edge.dtype in _BYTE_TYPES:
            distribution = distributions.distribution(edge.tensor)
            found.append(ChosenRange(edge, distribution, relative_loss(distribution, edge)))
    return tuple(sorted(found, key=lambda item: (-item.loss, item.edge.tensor))[:count])


def relative_loss(distribution: Distribution, edge: EdgeQuant) -> float:
    """Return the mean squared error of quantizing the values, per mean of their squares."""
    values, counts = distribution.values, distribution.counts
    codes = quantize(values, edge.scale, edge.zero_point, edge.integer)
    restored = dequantize(codes, edge.scale, edge.zero_point)
    power = float(counts @ np.square(values))
    return float(counts @ np.square(restored - values)) / power if power else 0.0
