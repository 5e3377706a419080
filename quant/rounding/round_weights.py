"""Round the weights of a plan by GPTQ with bias correction, on a few images.

The float graph, equalized as the plan says, is walked once with all images side by side, in a chain
without a trunk with a sharpened copy of each beside it (quant/rounding/sharpened.py). What a dense
block concatenates is looked at once for all the convolutions that read a beginning of it: their
columns' second moment decides the int8 weights (quant/rounding/gptq.py). Bias correction adds to
each bias what rounding changes in the output's mean (Nagel et al., "Data-Free Quantization Through
Weight Equalization and Bias Correction", 2019):

    b' = b + sum over input channels c of (W - Wq)[c] mean(x_c)

with the means of all calibration images, from the table. Only what is still to be read is held, so
memory is a few activations per image.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import onnx

from calib.ahead import ahead
from calib.arrays import AnyArray, Float32, Float64, Int8
from calib.errors import UsageError
from calib.graph import GraphIndex
from calib.runtime import Session, shares
from calib.segments import Segment, cut_graph, segment_model
from calib.table import CalibrationTable
from quant.analysis.channel_statistics import channel_statistics
from quant.analysis.layer_groups import LayerGroup, find_layer_groups
from quant.analysis.tensor_distributions import TensorDistributions
from quant.numerics.blas import one_blas_thread
from quant.passes.equalize import trunks
from quant.passes.prepared import PreparedGraph
from quant.plan import QuantPlan, WeightQuant
from quant.qdq.int8_weights import RoundedWeights
from quant.rounding.gptq import ScaledWeight, SecondMoment, gptq_together
from quant.rounding.recorded_codes import exclusive_bias, on_stored_grid
from quant.rounding.sharpened import sharpened

IMAGES = 6
_POSITION_SEED = 0
# Output positions over all images: a good two for each column of the widest dense block. Networks
# of narrower convolutions take as many more as their moments cost less, up to four times as many.
# Parity for tensorrt with 4,096 and 16,384, in dB: general-x4v3 41.96 and 42.24 on the embedded
# sample, 40.81 and 41.03 on ten crops of DIV2K.
POSITIONS, MOST_POSITIONS = 4096, 16384
_WIDEST_DENSE_BLOCK = 1728


def round_weights(
    prepared: PreparedGraph,
    table: CalibrationTable,
    inputs: Sequence[Float32],
    *,
    threads: int | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> RoundedWeights:
    """Choose int8 weights and corrected biases for every weight of a plan.

    Args:
        prepared: the float graph under its plan, which says what is quantized; scales are kept.
        table: the calibration table the plan was made from.
        inputs: float32 ``[1, C, H, W]`` in [0,1], images such as the network is made for.
        threads: threads that run the graph; ``None`` takes every core.
        on_step: called after each weight.

    Raises:
        UsageError: there is no image.
    """
    if not inputs:
        raise UsageError("no image to round weights by; give at least one, or rounding 'nearest'")
    index, plan = prepared.index, prepared.plan
    groups, nearest = find_layer_groups(index, plan)
    rng = np.random.default_rng(_POSITION_SEED)
    positions = positions_for(max((_columns(index, group) for group in groups), default=1))
    distributions = prepared.distributions(table)
    refiner = _Refiner(index, plan, distributions, rng, positions, nearest=nearest)
    (entry,) = index.inputs
    walk = _Walk(index, groups, threads)
    seen = inputs if trunks(prepared.source.model) else [*inputs, *map(sharpened, inputs)]
    arrivals = walk.arrivals([{entry: values} for values in seen])
    moments = ((group, refiner.moment(group, states)) for group, states in arrivals)
    # A group's weights are rounded while the walk goes on to the next.
    with one_blas_thread(), ThreadPoolExecutor(1) as pool:
        for group, matrix in ahead(pool, moments):
            refiner.refine(group, SecondMoment.of(matrix))
            for _ in group.nodes:
                on_step()
    return RoundedWeights(refiner.codes, refiner.biases, refiner.nearest)


def positions_for(columns: int) -> int:
    """Return how many output positions, over all images, second moments are taken of.

    Args:
        columns: of the widest layer group of the network; a moment costs their square.

    >>> positions_for(1728), positions_for(576), positions_for(1152)
    (4096, 16384, 9216)
    """
    affordable = int(POSITIONS * (_WIDEST_DENSE_BLOCK / columns) ** 2)
    return min(max(affordable, POSITIONS), MOST_POSITIONS)


def _columns(index: GraphIndex, group: LayerGroup) -> int:
    """Return how many columns the widest convolution of a group reads."""
    shape = index.shape(group.nodes[-1].input[1])
    assert shape is not None  # a weight is an initializer
    return math.prod(shape[1:])


@dataclass(frozen=True, eq=False)
class _Walk:
    """Runs a graph up to the last convolution of each group, on several images side by side."""

    index: GraphIndex
    groups: Sequence[LayerGroup]
    threads: int | None

    def arrivals(
        self, states: list[dict[str, AnyArray]]
    ) -> Iterator[tuple[LayerGroup, list[dict[str, AnyArray]]]]:
        """Yield each group with what its sources hold on every image.

        Args:
            states: the graph's inputs, one mapping per image; taken over.
        """
        waiting = list(self.groups)
        for number in range(len(self._segments) + 1):
            for group in [f for f in waiting if all(s in states[0] for s in f.sources)]:
                waiting.remove(group)
                yield group, states
            if number == len(self._segments):
                return
            self._run(self._segments[number], states)
            for state in states:
                for name in [n for n in state if not self._needed(n, number, waiting)]:
                    del state[name]

    def _run(self, segment: Segment, states: list[dict[str, AnyArray]]) -> None:
        """Add what a segment makes of each image to the image's state."""
        workers, threads = shares(len(states), self.threads)
        session = Session(segment_model(self.index, segment), optimized=True, threads=threads)

        def made(state: dict[str, AnyArray]) -> dict[str, AnyArray]:
            return session.run({name: state[name] for name in segment.inputs}, segment.outputs)

        with ThreadPoolExecutor(workers) as pool:
            for state, found in zip(states, pool.map(made, states), strict=True):
                state.update(found)

    def _needed(self, tensor: str, number: int, waiting: Sequence[LayerGroup]) -> bool:
        later = self._last_reader.get(tensor, -1) > number
        return later or any(tensor in group.sources for group in waiting)

    @cached_property
    def _segments(self) -> tuple[Segment, ...]:
        wanted = [source for group in self.groups for source in group.sources]
        starts = {group.nodes[-1].name for group in self.groups}
        return cut_graph(self.index, wanted, starts)

    @cached_property
    def _last_reader(self) -> dict[str, int]:
        return {name: at for at, segment in enumerate(self._segments) for name in segment.inputs}


@dataclass(frozen=True, eq=False)
class _Refiner:
    """Rounds one convolution after the other.

    Attributes:
        index: the float graph, equalized.
        plan: its plan.
        distributions: of its tensors.
        rng: draws output positions.
        positions: how many, over all images.
        codes: what was chosen so far.
        biases: likewise.
        nearest: weights left as they are, with the reason.
    """

    index: GraphIndex
    plan: QuantPlan
    distributions: TensorDistributions
    rng: np.random.Generator
    positions: int
    codes: dict[str, Int8] = field(default_factory=dict)
    biases: dict[str, Float64] = field(default_factory=dict)
    nearest: dict[str, str] = field(default_factory=dict)

    def moment(self, group: LayerGroup, states: Sequence[Mapping[str, AnyArray]]) -> Float32:
        """Return float32 ``[K, K]``, the second moment of the columns of all sources."""
        count = -(-self.positions // len(states))
        blocks = []
        for state in states:
            height, width = state[group.sources[0]].shape[2:]
            drawn = group.window.draw(height, width, count, self.rng)
            parts = [group.window.columns(state[name], drawn) for name in group.sources]
            blocks.append(np.concatenate(parts))
        columns = np.concatenate(blocks, axis=1)
        if all(exclusive_bias(self.index, node) is not None for node in group.nodes):
            columns -= columns.mean(axis=1, keepdims=True)
        matrix: Float32 = columns @ columns.T
        matrix /= np.float32(columns.shape[1])
        return matrix

    def refine(self, group: LayerGroup, moment: SecondMoment) -> None:
        """Choose int8 weights and biases of the convolutions of the group whose moment it is."""
        weights = [self._weight(node) for node in group.nodes]
        for node, weight, codes in zip(
            group.nodes, weights, gptq_together(weights, moment), strict=True
        ):
            self._choose(node, weight, codes)

    def _weight(self, node: onnx.NodeProto) -> ScaledWeight:
        name, quant = self._weights[node.name]
        values = self.index.constant(name)
        assert values is not None  # planned as one
        return ScaledWeight(values, quant.scale_array, quant.limits)

    def _choose(self, node: onnx.NodeProto, weight: ScaledWeight, codes: Int8) -> None:
        """Keep a convolution's codes, and move its bias by what they change."""
        name, _ = self._weights[node.name]
        self.codes[name] = codes
        bias = exclusive_bias(self.index, node)
        if bias is not None:
            flat = weight.values.reshape(len(codes), -1)
            restored = codes.reshape(flat.shape) * weight.scales[:, np.newaxis]
            moved = (flat - restored).reshape(*codes.shape[:2], -1).sum(axis=2, dtype=np.float64)
            self._move_bias(bias, name, moved @ self._means(node.input[0]))

    def _means(self, tensor: str) -> Float64:
        return channel_statistics(self.distributions, tensor).mean

    @cached_property
    def _weights(self) -> dict[str, tuple[str, WeightQuant]]:
        return {quant.node: (name, quant) for name, quant in self.plan.weights.items()}

    def _move_bias(self, bias: str, name: str, change: Float64) -> None:
        """Add ``change`` to a bias, on the grid that it is stored on."""
        value = self.index.constant(bias)
        assert value is not None  # exclusive_bias
        moved = value.astype(np.float64) + change
        self.biases[bias] = on_stored_grid(self.index, self.plan, name, bias, moved)
