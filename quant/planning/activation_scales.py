"""Choose scale and zero point of every quantized activation.

1. Edges whose values are the same numbers, and those of one Concat, form groups with one scale,
   so that moving and concatenating requantize nothing. A Concat's reader sees all its inputs on one
   grid anyway: a finer scale on an input would only be rounded once more. Zero points of their own
   cost it nothing where a target takes them (quant/planning/integer_concats.py).
2. Each group's range is the one of least squared error over its merged distribution, or a forced
   percentile; those of pictures, taken and given, are [0, 1]. Beside a trunk clipping counts for
   more than rounding, and a trunk for more than growth (quant/numerics/clipping_weights.py). The
   scale is moved to the nearest that a file of the target can hold.
3. The QDQ pair before an activation is chosen last, against the pair behind it, or together with it
   (quant/planning/around_activations.py).
4. Ranges of 16 bits that were searched for reach further (quant/planning/ranges.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import onnx

from quant.analysis.concats import is_concat
from quant.analysis.tensor_distributions import PINNED_RANGE, TensorDistributions, leaky_slope
from quant.analysis.topology import MOVERS
from quant.numerics.activation_pairs import Pairs
from quant.numerics.affine import IntegerType, affine_parameters, covered_range
from quant.numerics.clipping_weights import ALIKE, BORDER_ON_FLOAT, GridWeights
from quant.numerics.distribution import merge
from quant.numerics.half import stored_scale
from quant.numerics.pre_activation_scale import Affine
from quant.numerics.shared_scale import Member, choose_shared
from quant.plan import EdgeQuant, QuantOptions
from quant.planning.around_activations import ActivationGrids
from quant.planning.integer_concats import shiftable_concats
from quant.planning.picture_grids import own_grid_of_picture
from quant.planning.qdq_placement import Edge, Placement
from quant.planning.ranges import held_percentile, reaching_further

# Rules by which pairs around an activation are chosen.
_BEHIND = "least squares behind the activation"
_TOGETHER = "least squares of both pairs around the activation"
# What joins or moves values: its inputs and its output have one scale.
_TIES = MOVERS | {"Concat"}


@dataclass(frozen=True, eq=False)
class EdgePlanner:
    """Gives every placed edge its scale and zero point.

    Attributes:
        placement: which edges there are.
        distributions: of all tensors.
        options: what the user asked for.
        weights: how errors count.
    """

    placement: Placement
    distributions: TensorDistributions
    options: QuantOptions
    weights: GridWeights = field(default_factory=GridWeights)

    def edges(self) -> dict[str, EdgeQuant]:
        """Return all edges by name, in the order of the placement."""
        planned: dict[str, EdgeQuant] = {}
        for members in self._groups.values():
            if self._around.reader(members[0]) is None:
                planned.update(self._plan_group(members))
        for edge in self.placement.edges:
            activation = self._around.reader(edge)
            if activation is not None:
                planned.update(self._plan_around(edge, activation, planned))
        float_type = self.placement.profile.float_type
        return {
            edge.name: reaching_further(planned[edge.name], self.distributions, float_type)
            for edge in self.placement.edges
        }

    @cached_property
    def _groups(self) -> dict[str, list[Edge]]:
        """Edges that share a scale, and a zero point but where it may lie apart, by one's name."""
        edges = {edge.name: edge for edge in self.placement.edges}
        through = {(e.tensor, r): e.name for e in edges.values() for r in e.readers}
        leader = {name: name for name in edges}

        def find(name: str) -> str:
            while leader[name] != name:
                name = leader[name]
            return name

        for node in self.placement.topology.operators:
            output = edges.get(node.output[0])
            if node.op_type not in _TIES or output is None:
                continue
            for tensor in self.placement.topology.data_inputs(node):
                read = through.get((tensor, node.name))
                if read is not None and edges[read].precision == output.precision:
                    leader[find(output.name)] = find(read)
        groups: dict[str, list[Edge]] = {}
        for name, edge in edges.items():
            groups.setdefault(find(name), []).append(edge)
        return groups

    def _plan_group(self, members: list[Edge]) -> dict[str, EdgeQuant]:
        profile = self.placement.profile
        integer = profile.integer(members[0].precision)
        bounds = self._given_bounds(members)
        if bounds is None:
            grids, rule = self._searched(members, integer)
        else:
            low, high, rule = bounds
            high = max(high, low + profile.minimum_range)
            covering = affine_parameters(low, high, integer, symmetric=profile.symmetric)
            grids = dict.fromkeys((edge.tensor for edge in members), Affine(*covering))
        if len(members) > 1:
            rule += f", shared by {len(members)} edges"
        return {
            edge.name: self._planned(
                edge, integer, self._stored(grids[edge.tensor]), rule, bounds and (low, high)
            )
            for edge in members
        }

    def _stored(self, affine: Affine) -> Affine:
        float_type = self.placement.profile.float_type
        return replace(affine, scale=stored_scale(affine.scale, float_type))

    def _planned(
        self,
        edge: Edge,
        integer: IntegerType,
        affine: Affine,
        rule: str,
        bounds: tuple[float, float] | None = None,
    ) -> EdgeQuant:
        """Return an edge as it is planned; ``bounds`` are those that were asked for, if any."""
        bounds = bounds or covered_range(affine.scale, affine.zero_point, integer)
        return EdgeQuant(
            tensor=edge.tensor,
            dtype=integer.name,
            scale=affine.scale,
            zero_point=affine.zero_point,
            low=bounds[0],
            high=bounds[1],
            rule=rule,
            readers=edge.readers,
            after=edge.after,
            percentile=held_percentile(self.distributions, edge.tensor, integer, affine),
        )

    def _given_bounds(self, members: list[Edge]) -> tuple[float, float, str] | None:
        """Return low, high and the rule where neither is to be searched for."""
        pictures = self.placement.topology.pictures
        if any(edge.tensor in pictures for edge in members):
            return *PINNED_RANGE, "pinned"
        if self.options.percentile is None:
            return None
        values = merge(self.distributions.distribution(edge.tensor) for edge in members)
        low, high = values.percentile_range(self.options.percentile)
        return min(low, 0.0), max(high, 0.0), f"percentile {self.options.percentile:g}"

    def _searched(self, members: list[Edge], integer: IntegerType) -> tuple[dict[str, Affine], str]:
        """Return the grids that serve the tensors of a group best, by tensor, and the rule.

        A Concat adds no values of its own, so its output takes no part in the search; it has the
        grid of the first member.
        """
        made = [edge for edge in members if not self._is_join(edge.tensor)] or members
        tensors = dict.fromkeys(edge.tensor for edge in made)
        profile = self.placement.profile
        weight = ALIKE
        if self._borders_on_float(made):
            weight = BORDER_ON_FLOAT
        elif len(tensors) > 1:
            weight = self.weights.clipping
        rule = "least squares" + ("" if weight == ALIKE else f", clipping weighs {weight:g}")
        weighed = self._weighed(tensors, weight, joined=len(made) < len(members))
        found = choose_shared(
            weighed,
            integer,
            symmetric=profile.symmetric,
            minimum_range=profile.minimum_range,
            own_zero_points=self._shiftable.issuperset(edge.name for edge in members),
        )
        exact = own_grid_of_picture(self.placement, made, weighed[0], integer, found[0])
        if exact is not None:
            return {edge.tensor: exact for edge in members}, "pinned to the picture's own grid"
        if len({member.weight for member in weighed}) > 1:
            rule += f", the trunk counts {self.weights.trunk:g} times"
        if len({grid.zero_point for grid in found}) > 1:
            rule += ", zero points apart"
        grids = dict(zip(tensors, found, strict=True))
        return {edge.tensor: grids.get(edge.tensor, found[0]) for edge in members}, rule

    def _weighed(
        self, tensors: Iterable[str], clipping_weight: float, *, joined: bool
    ) -> list[Member]:
        """Return the tensors of a group; what a Concat joins with growth counts as a trunk."""
        slopes = {name: self._slope_before(name) for name in tensors}
        beside_growth = joined and any(slope is not None for slope in slopes.values())
        members: list[Member] = []
        for name, slope in slopes.items():
            weight, clipping = 1.0, clipping_weight
            if beside_growth and slope is None:
                weight, clipping = self.weights.trunk, self.weights.trunk_clipping
            values = self.distributions.distribution(name)
            members.append(Member(values, slope, weight, clipping))
        return members

    @cached_property
    def _shiftable(self) -> frozenset[str]:
        """Names of the edges that only Concats join whose inputs may have zero points apart."""
        shiftable = shiftable_concats(self.placement)
        found: set[str] = set()
        for members in self._groups.values():
            producers = [self.placement.topology.index.producer(one.tensor) for one in members]
            joins = {node.name for node in producers if node is not None and node.op_type in _TIES}
            if joins and joins <= shiftable:
                found.update(edge.name for edge in members)
        return frozenset(found)

    def _borders_on_float(self, edges: Sequence[Edge]) -> bool:
        """Tell whether a tensor alone on its grid is made, or read, by float operators only."""
        if len(edges) > 1 or self._slope_before(edges[0].tensor) is not None:
            return False
        topology, precision = self.placement.topology, self.placement.precision
        (edge,) = edges
        producer = topology.index.producer(edge.tensor)
        made_in_float = producer is None or precision(producer) == "float"
        readers = [node for node in topology.readers(edge.tensor) if node.name in edge.readers]
        return made_in_float or all(precision(node) == "float" for node in readers)

    def _is_join(self, tensor: str) -> bool:
        return is_concat(self.placement.topology.index, tensor)

    def _slope_before(self, tensor: str) -> float | None:
        """Return the slope of the LeakyReLU that makes ``tensor`` from a quantized tensor."""
        producer = self.placement.topology.index.producer(tensor)
        if producer is None or producer.op_type != "LeakyRelu":
            return None
        paired = producer.input[0] in self._paired
        return leaky_slope(producer) if paired and 0.0 < leaky_slope(producer) <= 1.0 else None

    @cached_property
    def _paired(self) -> frozenset[str]:
        return frozenset(edge.tensor for edge in self.placement.edges)

    def _plan_around(
        self, edge: Edge, activation: onnx.NodeProto, planned: Mapping[str, EdgeQuant]
    ) -> dict[str, EdgeQuant]:
        """Return the edge before an activation, and the one behind it where both are chosen."""
        behind, slopes = planned.get(activation.output[0]), self._around.slopes(edge)
        if self.options.percentile is not None or (behind is None and slopes is not None):
            return self._plan_group([edge])
        integer = self.placement.profile.integer(edge.precision)
        output = None if behind is None else Affine(behind.scale, behind.zero_point)
        if output is None or slopes is None:
            before = self._around.before_leaky(activation, integer, output)
            return self._chosen(_BEHIND, integer, (edge, before))
        grids, _ = self._searched([edge], integer)
        free = grids[edge.tensor]
        before = self._around.before_slopes(edge, slopes, integer, free, output)
        alone = self._alone.get(activation.output[0])
        if alone is None or self._borders_on_float([alone]) or alone.precision != edge.precision:
            return self._chosen(_BEHIND, integer, (edge, before))
        start = Pairs(self._held(before, integer), output)
        pairs = self._around.together(edge, slopes, integer, start, self._narrowest(integer))
        return self._chosen(_TOGETHER, integer, (edge, pairs.before), (alone, pairs.behind))

    def _chosen(
        self, rule: str, integer: IntegerType, *grids: tuple[Edge, Affine]
    ) -> dict[str, EdgeQuant]:
        """Return edges with the grids chosen for them, as the target takes them."""
        return {
            edge.name: self._planned(edge, integer, self._held(grid, integer), rule)
            for edge, grid in grids
        }

    @cached_property
    def _around(self) -> ActivationGrids:
        return ActivationGrids(self.placement, self.distributions, self.weights.clipping)

    @cached_property
    def _alone(self) -> dict[str, Edge]:
        """Edges whose grid no other shares and nobody asked for, by name."""
        edges = (members[0] for members in self._groups.values() if len(members) == 1)
        return {edge.name: edge for edge in edges if self._given_bounds([edge]) is None}

    def _held(self, affine: Affine, integer: IntegerType) -> Affine:
        """Return a grid of a scale that the target takes and its file can hold."""
        return self._stored(replace(affine, scale=max(affine.scale, self._narrowest(integer))))

    def _narrowest(self, integer: IntegerType) -> float:
        return float(np.float32(self.placement.profile.minimum_range / integer.span))
