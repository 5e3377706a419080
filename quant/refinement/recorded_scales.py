"""Put learned scales into a plan, and hold those that a plan states against what they may be.

Scales follow from the calibration table; learned ones do not, and learning takes minutes and
pictures. So a refined plan states them, and whoever makes the plan again takes them from there, if
each is one that refinement could have left:

    1 / MOST <= s / s of the table <= MOST
    edges of one grid still have one, so that what moves or joins values requantizes nothing, and
    what a Concat joins with zero points apart still has one scale; so that what is not negative
    finds itself on the grid behind a LeakyReLU, the scale before is as many of those behind
    pictures, taken and given, keep theirs
    a grid that shrank clips at most MOST_CLIPPED of what calibration saw, or no more than before,
    and is of no tensor that float operators make, all of whose range counts
    (quant/numerics/clipping_weights.py)
    where all else is fp16, fp16 holds them exactly (quant/numerics/half.py)

All else of an edge follows from its scale. Weights' scales are bound to the float weights together
with the int8 weights (quant/rounding/recorded_codes.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from calib.arrays import Float32
from calib.digest import sha256_bytes
from calib.errors import GraphError
from calib.table import CalibrationTable
from quant.analysis.activation_slopes import clipped_on_grid
from quant.analysis.tensor_distributions import TensorDistributions
from quant.evidence import RefinementRecord
from quant.numerics.affine import bias_scale_floor
from quant.numerics.half import stored_scale, stored_scale_within
from quant.numerics.pre_activation_scale import Affine
from quant.passes.prepared import PreparedGraph
from quant.plan import EdgeQuant, QuantPlan, WeightQuant
from quant.planning.ranges import with_scale
from quant.qdq.int8_weights import RoundedWeights
from quant.qdq.zero_points import rounds

MOST = 2.0
MOST_CLIPPED = 0.005
_FINEST = 0.02  # between two scales that are tried

_Grid = tuple[str, float, int]


@dataclass(frozen=True, eq=False)
class LearnedScales:
    """Scales to take the place of a plan's.

    Attributes:
        activations: float32 values by edge.
        weights: float32 ``[O]`` by weight initializer.
    """

    activations: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, Float32] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Refined:
    """What a refinement left: the best that was found, GPTQ's own where nothing was better.

    Attributes:
        record: how it went.
        scales: empty where the plan's stay.
        weights: int8 weights and biases.
    """

    record: RefinementRecord
    scales: LearnedScales
    weights: RoundedWeights


def free_scales(prepared: PreparedGraph) -> tuple[tuple[str, ...], ...]:
    """Return the names of the edges whose scales move together, for each scale that may move."""
    plan = prepared.plan
    grids = {name: _grid_of(edge) for name, edge in plan.edges.items()}
    leaders = {grid: grid for grid in grids.values()}
    for tied in (*_joined_apart(plan), *_around_activations(prepared)):
        joined = {leaders[grids[name]] for name in tied}
        first = leaders[grids[tied[0]]]
        leaders = {grid: first if found in joined else found for grid, found in leaders.items()}
    pinned = {
        leaders[grids[name]] for name, edge in plan.edges.items() if edge.rule.startswith("pinned")
    }
    scales: dict[_Grid, tuple[str, ...]] = {}
    for name, grid in grids.items():
        if leaders[grid] not in pinned:
            scales[leaders[grid]] = (*scales.get(leaders[grid], ()), name)
    return tuple(scales.values())


def _joined_apart(plan: QuantPlan) -> Iterator[tuple[str, ...]]:
    """Yield the edges that each Concat of zero points apart reads."""
    for concat in plan.zero_points_apart:
        yield tuple(name for name, edge in plan.edges.items() if concat in edge.readers)


def _around_activations(prepared: PreparedGraph) -> Iterator[tuple[str, ...]]:
    """Yield the edges around each LeakyReLU whose steps are as one to one, or as two to one."""
    plan = prepared.plan
    for name, behind in plan.edges.items():
        made = prepared.index.producer(behind.tensor)
        if made is not None and made.op_type == "LeakyRelu" and behind.after is None:
            before = plan.edge_read_by(made.input[0], made.name)
            if before is not None and plan.edges[before].scale in {
                behind.scale,
                2.0 * behind.scale,
            }:
                yield before, name


def _grid_of(edge: EdgeQuant) -> _Grid:
    """Return what two edges agree in if a code means the same value on both."""
    return edge.dtype, edge.scale, edge.zero_point


def smallest_factors(prepared: PreparedGraph, table: CalibrationTable) -> list[float]:
    """Return for each free scale by how much it may shrink, at least ``1 / MOST``."""
    distributions = prepared.distributions(table)
    edges = prepared.plan.edges
    return [
        max(
            1.0
            if _made_in_float(prepared, edges[name])
            else _smallest_factor(edges[name], distributions)
            for name in names
            if rounds(prepared.index, prepared.plan, edges[name])
        )
        for names in free_scales(prepared)
    ]


def _made_in_float(prepared: PreparedGraph, edge: EdgeQuant) -> bool:
    producer = prepared.index.producer(edge.tensor)
    return producer is not None and producer.name in prepared.plan.kept_float


def _smallest_factor(edge: EdgeQuant, distributions: TensorDistributions) -> float:
    allowed = max(MOST_CLIPPED, _clipped(edge, edge.scale, distributions))
    for factor in np.arange(1.0 / MOST, 1.0, _FINEST):
        if _clipped(edge, float(np.float32(edge.scale * factor)), distributions) <= allowed:
            return float(factor)
    return 1.0


def _clipped(edge: EdgeQuant, scale: float, distributions: TensorDistributions) -> float:
    grid = Affine(scale, edge.zero_point)
    return clipped_on_grid(distributions, edge.tensor, grid, edge.integer)


def learned_scale(plan: QuantPlan, scale: float, factor: float, smallest: float) -> float:
    """Return the float32 scale, such as a file of the plan holds, that a grid has come to.

    Args:
        plan: whose scale it was.
        scale: before.
        factor: by how much it was learned to grow, from ``smallest`` to :data:`MOST`.
        smallest: by how much it may shrink.
    """
    learned = float(np.float32(scale * factor))
    return stored_scale_within(learned, *_bounds(scale, smallest), plan.float_type)


def _bounds(scale: float, smallest: float) -> tuple[float, float]:
    return float(np.float32(scale * smallest)), float(np.float32(scale * MOST))


def scales_digest(scales: Float32) -> str:
    """Return the sha256 of float32 scales ``[O]``."""
    return sha256_bytes(scales.astype("<f4").tobytes())


def with_learned_scales(
    prepared: PreparedGraph,
    table: CalibrationTable,
    record: RefinementRecord,
    weights: Mapping[str, Float32],
) -> PreparedGraph:
    """Return the graph under a plan of learned scales.

    Args:
        prepared: the graph under the plan that follows from the table.
        table: that table.
        record: what was learned; it becomes part of the plan.
        weights: scales float32 ``[O]`` by weight. One that the record does not state, or not so,
            keeps what the plan has.

    Raises:
        GraphError: a learned activation scale is none that refinement leaves.
    """
    plan = prepared.plan
    for fault in _faults(prepared, table, record.activations):
        raise GraphError(f"the plan's refinement {fault}; build again")
    distributions = prepared.distributions(table)
    edges = {
        name: _moved(prepared, name, record.activations[name], distributions)
        if name in record.activations
        else edge
        for name, edge in plan.edges.items()
    }
    moved = {
        name: replace(quant, scales=tuple(map(float, weights[name])))
        if name in weights and record.weights.get(name) == scales_digest(weights[name])
        else quant
        for name, quant in plan.weights.items()
    }
    return prepared.under(replace(plan, edges=edges, weights=moved, refined=record))


def _faults(
    prepared: PreparedGraph, table: CalibrationTable, learned: Mapping[str, float]
) -> list[str]:
    """Say which learned activation scales cannot be, each with its edge."""
    plan = prepared.plan
    if not learned:
        return []
    shared = free_scales(prepared)
    free = {name for names in shared for name in names}
    if {*learned} != free:
        odd = min({*learned} ^ free)
        return [f"{'has' if odd in learned else 'lacks'} a scale of edge {odd!r}"]
    faults = []
    for names, smallest in zip(shared, smallest_factors(prepared, table), strict=True):
        scale = learned[names[0]]
        faults += [
            f"gives {name!r} another scale than {names[0]!r}, with which it shares one"
            for name in names
            if learned[name] != scale * (plan.edges[name].scale / plan.edges[names[0]].scale)
        ]
        before = plan.edges[names[0]].scale
        low, high = _bounds(before, smallest)
        if stored_scale(scale, plan.float_type) != scale:
            faults.append(f"gives {names[0]!r} the scale {scale:g}, which fp16 does not hold")
        elif not low <= scale <= high:
            faults.append(
                f"gives {names[0]!r} the scale {scale:g}, expected {before * smallest:g} to "
                f"{before * MOST:g} beside the table's {before:g}"
            )
    return faults


def _moved(
    prepared: PreparedGraph, name: str, scale: float, distributions: TensorDistributions
) -> EdgeQuant:
    """Return an edge with another scale, and what follows from it."""
    edge = prepared.plan.edges[name]
    moved = with_scale(edge, scale, f"learned from {edge.rule}", distributions)
    if rounds(prepared.index, prepared.plan, edge):
        return moved
    return replace(moved, percentile=edge.percentile)


def smallest_weight_scales(
    prepared: PreparedGraph, quant: WeightQuant, edges: Mapping[str, float]
) -> Float32 | None:
    """Return float32 ``[O]``, the scales from which on an int32 bias fits; ``None``: any.

    Args:
        prepared: the graph under the plan.
        quant: a weight of it.
        edges: learned activation scales.
    """
    bias = None if quant.bias is None else prepared.index.constant(quant.bias)
    if bias is None:
        return None
    node = next(n for n in prepared.index.consumers(quant.bias or "") if n.name == quant.node)
    through = prepared.plan.edge_read_by(node.input[0], node.name) or ""
    return bias_scale_floor(bias, edges.get(through, prepared.plan.edges[through].scale))
