"""Plan how a float graph is quantized for a target, from its calibration table.

1. Residual scales and skips are folded where that is better, and channels rescaled by cross-layer
   equalization (quant/passes), by other factors where there is no trunk.
   Enlargements in float become transposed convolutions where the target asks for it.
2. Placement says which edges carry a QDQ pair (quant/planning/qdq_placement.py), and each gets its
   scale and zero point (quant/planning/activation_scales.py).
3. Concats of one scale concatenate int8 tensors where the target takes that
   (quant/planning/integer_concats.py).
4. Weights get one scale per output channel (quant/planning/parameters.py).
5. Where all that stays in float is to be fp16, every value of it is known to fit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import onnx

from calib.errors import UsageError
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.analysis.channel_statistics import relative_magnitudes
from quant.analysis.residual_skips import residual_skips
from quant.analysis.scale_absorbers import residual_scales
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Part, Topology
from quant.fp16.range import require_half
from quant.numerics.clipping_weights import channel_weight, grid_weights
from quant.numerics.grids import Grids
from quant.numerics.saturation_limits import SaturationLimits
from quant.passes.chain_factors import chain_factors
from quant.passes.equalize import (
    GROWTH_SIZE,
    GROWTH_SIZE_APART,
    equalize,
    equalized_tensors,
    trunk_of,
    trunks,
)
from quant.passes.exponents import TRUNK_EXPONENT, rounded_trunk_exponent
from quant.passes.fold import Folded, fold
from quant.passes.lowering.resize_deconvolution import enlargements, transposed
from quant.passes.magnitudes import eight_bit_magnitudes
from quant.passes.prepared import PreparedGraph
from quant.passes.rescale import Equalized, rescale
from quant.plan import QuantOptions, QuantPlan
from quant.planning.activation_scales import EdgePlanner
from quant.planning.integer_concats import integer_concats, zero_points_apart
from quant.planning.parameters import half_stored_weights, plan_constants, plan_weights
from quant.planning.qdq_placement import Placement
from quant.targets import ComputePrecision, Equalization, TargetProfile, Upsampling

# A convolution takes up a skip if the steps of its weight become this much coarser at most. Parity
# in dB with --full-integer, three DIV2K pairs: x4plus 36.49 without, then 36.94 (1.1), 37.02
# (1.25), 36.73 (1.6), 36.75 (3); x4plus-anime-6b 38.88, 38.86, 38.93.
_COARSER = 1.25


def plan_graph(
    graph: GraphIndex,
    table: CalibrationTable,
    profile: TargetProfile,
    options: QuantOptions,
) -> PreparedGraph:
    """Decide how a float graph is quantized for a target.

    Args:
        graph: the float graph that the table was calibrated on.
        table: statistics of ``observed_tensors(graph.model)``.
        profile: the target's rules.
        options: what the user asked for.

    Returns:
        The plan, with the rewritten graph that it quantizes.

    Raises:
        StaleTableError: the table is of another graph.
        UsageError: the options ask for what the target cannot do, or a value lies beyond fp16
            on a target that computes in it.
        GraphError: a node has no name of its own, or a convolution no weight of its own.
    """
    table.require_network(graph.network_digest)
    parts = part_precisions(profile, options)
    equalization = options.equalization or profile.equalization
    folded = _folded(graph, profile, parts, equalization, options.promoted)
    growth = GROWTH_SIZE
    if profile.zero_points_apart and not options.full_integer and options.percentile is None:
        growth = GROWTH_SIZE_APART
    equalized = _equalized(folded, table, equalization, profile, parts, growth)
    upsampling = options.upsampling or profile.upsampling
    to_transpose = _to_transpose(equalized.model, parts, upsampling)
    topology = Topology(GraphIndex(transposed(equalized.model, to_transpose)))
    _require_nodes(topology, options.promoted)
    placement = Placement(topology, profile, parts, options.promoted, options.full_integer)
    distributions = TensorDistributions(
        ObservationRules(topology), table.tensors, equalized.tensors
    )
    if profile.float_type == "float16":
        require_half(topology.index, distributions, profile.name)
    limits = SaturationLimits(options.accumulator_bits or profile.accumulator_bits)
    paired = profile.pair_before_activation == "needed"
    errors_count = grid_weights(
        trunk_of(graph.model, in_float=_finer_trunk(profile, parts)), pair_before_activation=paired
    )
    edges = EdgePlanner(placement, distributions, options, errors_count).edges()
    weights = plan_weights(placement, edges, limits, distributions)
    plan = QuantPlan(
        target=profile.name,
        network_digest=graph.network_digest,
        table_digest=table.digest,
        options=QuantOptions(
            percentile=options.percentile,
            full_integer=options.full_integer,
            head=parts["head"],
            trunk=parts["trunk"],
            tail=parts["tail"],
            accumulator_bits=limits.accumulator_bits,
            rounding=options.rounding,
            equalization=equalization,
            upsampling=upsampling,
            effort=options.effort,
            promoted=dict(options.promoted),
        ),
        edges=edges,
        weights=weights,
        constants=plan_constants(placement),
        stored_half=half_stored_weights(placement, weights),
        kept_float=placement.kept_float,
        folded=folded.nodes,
        equalization={name: tuple(map(float, f)) for name, f in equalized.factors.items()},
        transposed=to_transpose,
        float_type=profile.float_type,
    )
    plan = _with_zero_points_apart(placement, plan)
    plan = replace(plan, integer_concats=integer_concats(placement, plan))
    return PreparedGraph(graph, plan, folded, equalized, topology, {table.digest: distributions})


def _with_zero_points_apart(placement: Placement, plan: QuantPlan) -> QuantPlan:
    """Return a plan that names these Concats; what they give out is not clipped again."""
    apart = zero_points_apart(placement, plan)
    made = {n.output[0] for n in placement.topology.operators if n.name in apart}
    edges = {
        name: replace(edge, percentile=100.0) if edge.tensor in made else edge
        for name, edge in plan.edges.items()
    }
    return replace(plan, edges=edges, zero_points_apart=apart)


def _folded(
    graph: GraphIndex,
    profile: TargetProfile,
    parts: Mapping[Part, ComputePrecision],
    equalization: Equalization,
    promoted: Mapping[str, str],
) -> Folded:
    """Fold the residual scales and skips that are better folded than kept.

    A scale that is kept takes up a factor per channel. That serves a convolution whose output is
    quantized, if the scale itself and the additions that read it run in float; else the node is
    only one more to run, and to round. So is a skip where sums are in 8 bits, unless it makes
    weights coarser.
    """
    if equalization == "none":
        return fold(graph.model, ())
    serve = profile.convolution_output_pair and parts["trunk"] == "float"
    skips = profile.convolution == "int8" and parts["trunk"] == "int8"
    nodes: list[str] = []
    while True:
        folded = fold(graph.model, nodes)
        index = GraphIndex(folded.model)
        found = [
            scale.node.name
            for scale in residual_scales(index)
            if not (serve and all(n.op_type == "Add" for n in index.consumers(scale.output)))
        ]
        if not found and skips:
            found = [
                skip.node.name
                for skip in residual_skips(index)
                if not {skip.node.name, skip.convolution.name} & promoted.keys()
                and skip.coarser() <= _COARSER
            ]
        if not found:
            return folded
        nodes += found


def _to_transpose(
    model: onnx.ModelProto, parts: Mapping[Part, ComputePrecision], upsampling: Upsampling
) -> tuple[str, ...]:
    """Return the enlargements to write as transposed convolutions: none that could be quantized."""
    if upsampling == "resize" or parts["tail"] != "float":
        return ()
    return enlargements(model)


def _equalized(  # noqa: PLR0913, PLR0917  # what there is to know
    folded: Folded,
    table: CalibrationTable,
    equalization: Equalization,
    profile: TargetProfile,
    parts: Mapping[Part, ComputePrecision],
    growth: float,
) -> Equalized:
    model = folded.model
    if equalization == "none":  # nor is anything folded
        return rescale(model, {})
    distributions = TensorDistributions(
        ObservationRules(Topology(GraphIndex(model))), table.tensors, folded.tensors
    )
    exponent = TRUNK_EXPONENT if equalization == "all" else 0.0
    before = profile.pair_before_activation == "needed"
    finer = _finer_trunk(profile, parts)
    found = trunk_of(model, in_float=finer) if equalization == "all" else "none"
    rounded = found == "rounded"
    grids = Grids(profile.symmetric, before, channel_weight(found))
    if profile.convolution == "int8":
        turn = not profile.quantized_slopes
        head = parts["head"] == "float"
        divisors = chain_factors(distributions, grids, float_head=head, turn=turn)
        if divisors is not None:
            return rescale(model, divisors).behind(folded)
    by_steps = grids.symmetric or found == "float" or (rounded and before)
    if profile.convolution == "int8" and by_steps:
        sizes = eight_bit_magnitudes(model, distributions, grids, trunk_rounded=rounded)
        exponent = rounded_trunk_exponent(trunks(model)) if rounded else exponent
    else:
        names = equalized_tensors(model)
        sizes = {name: relative_magnitudes(distributions, name) for name in names}
    return equalize(model, sizes, trunk=exponent, growth=growth).behind(folded)


def _finer_trunk(profile: TargetProfile, parts: Mapping[Part, ComputePrecision]) -> bool:
    """Tell whether sums of a trunk are finer than what convolutions read: float, or 16 bits."""
    return parts["trunk"] != profile.convolution


def part_precisions(profile: TargetProfile, options: QuantOptions) -> dict[Part, ComputePrecision]:
    """Return each part's precision.

    Raises:
        UsageError: the options ask for what the target cannot do.
    """
    chosen: dict[Part, ComputePrecision] = {"body": profile.convolution}
    asked: tuple[tuple[Part, ComputePrecision | None, ComputePrecision], ...] = (
        ("head", options.head, profile.head),
        ("trunk", options.trunk, profile.trunk),
        ("tail", options.tail, profile.tail),
    )
    for part, wish, default in asked:
        fallback = profile.convolution if options.full_integer else default
        chosen[part] = fallback if wish is None else wish
        if options.full_integer and wish == "float":
            raise UsageError(f"found full-integer with {part} float; ask for one or the other")
        if chosen[part] not in profile.precisions:
            raise UsageError(
                f"target {profile.name} cannot run the {part} in {chosen[part]}; "
                f"choose one of {', '.join(profile.precisions)}"
            )
    return chosen


def _require_nodes(topology: Topology, names: Iterable[str]) -> None:
    known = {node.name for node in topology.operators}
    for name in names:
        if name not in known:
            raise UsageError(f"found no node {name!r} to promote; name one of the graph's")
