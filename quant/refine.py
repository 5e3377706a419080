"""A float graph, its plan and a few images in, weights rounded by what they do to them out.

The QDQ graph is walked once, cut before every integer convolution, with all images side by side.
Each convolution thus sees its input as the file's reader will: quantized, and made by weights
that are refined already. There its codes are chosen by the input's second moment
(quant/rounding.py), and the bias takes up what they change in the output's mean (Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", 2019):

    b' = b + (W - Wq) mean(x)

Only what later convolutions still read is held, so memory is a few activations per image.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from calib.runtime import Session
from calib.segments import Segment, cut_graph, segment_model
from quant.affine import FloatArray, weight_limit
from quant.columns import Window
from quant.plan import QuantPlan, WeightQuant
from quant.qdq import RefinedWeights, bias_codes, emit_qdq
from quant.refinement import own_bias
from quant.rounding import second_order_codes

Array = np.ndarray[Any, np.dtype[Any]]

IMAGES = 6
# Output positions over all images: a good two for each column of the widest dense block (1,728).
POSITIONS = 4096


def refine_weights(  # noqa: PLR0913  # three have defaults
    model: onnx.ModelProto,
    plan: QuantPlan,
    inputs: Sequence[FloatArray],
    *,
    seed: int = 0,
    threads: int | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> RefinedWeights:
    """Choose codes and biases for every weight of a plan.

    Args:
        model: the float graph the plan was made for.
        plan: says what is quantized; its scales are kept.
        inputs: float32 ``[1, 3, H, W]``, images such as the network is made for.
        seed: of the output positions that are looked at.
        threads: threads that run the graph; ``None`` takes every core.
        on_step: called after each weight.

    Raises:
        UsageError: there is no image.
        StaleTableError: the plan is of another graph.
    """
    if not inputs:
        raise UsageError("no image to round weights by; give at least one, or rounding 'nearest'")
    index = GraphIndex(emit_qdq(model, plan))
    refiner = _Refiner(GraphIndex(model), index, plan, np.random.default_rng(seed))
    walk = _Walk(index, {quant.node for quant in plan.weights.values()}, threads)
    (entry,) = index.inputs
    for node, seen in walk.arrivals([{entry: values} for values in inputs], refiner.replaced):
        refiner.refine(node, seen)
        on_step()
    return RefinedWeights(refiner.codes, refiner.biases, refiner.nearest)


@dataclass(frozen=True, eq=False)
class _Walk:
    """Runs a graph up to each of some nodes, on several images side by side."""

    index: GraphIndex
    stops: set[str]
    threads: int | None

    def arrivals(
        self, states: list[dict[str, Array]], replaced: Mapping[str, onnx.TensorProto]
    ) -> Iterable[tuple[onnx.NodeProto, list[FloatArray]]]:
        """Yield each stop with what its first input holds on every image.

        Args:
            states: the graph's inputs, one mapping per image; taken over.
            replaced: initializers to use in place of the graph's own. What is put there while a
                stop is being looked at takes part in its run and in all that follow.
        """
        for number, segment in enumerate(self._segments):
            for node in self._stops_of(segment):
                yield node, [state[node.input[0]] for state in states]
            session = Session(
                segment_model(self.index, segment, replaced),
                optimized=False,
                threads=self.threads,
                shared_arena=True,
            )
            for state in states:
                made = session.run({name: state[name] for name in segment.inputs}, segment.outputs)
                state.update(made)
                for name in [name for name in state if self._last_use.get(name, -1) <= number]:
                    del state[name]
        for node in self._final_stops:
            yield node, [state[node.input[0]] for state in states]

    @cached_property
    def _ordered_stops(self) -> list[onnx.NodeProto]:
        return [node for node in self.index.nodes if node.name in self.stops]

    @cached_property
    def _segments(self) -> tuple[Segment, ...]:
        wanted = [node.input[0] for node in self._ordered_stops]
        return cut_graph(self.index, wanted, self.stops)

    def _stops_of(self, segment: Segment) -> list[onnx.NodeProto]:
        return [node for node in segment.nodes if node.name in self.stops]

    @cached_property
    def _final_stops(self) -> list[onnx.NodeProto]:
        """Stops that no other stop depends on: they need not run."""
        run = {node.name for segment in self._segments for node in self._stops_of(segment)}
        return [node for node in self._ordered_stops if node.name not in run]

    @cached_property
    def _last_use(self) -> dict[str, int]:
        """Number of the segment after which a tensor may be dropped."""
        last = {name: at for at, segment in enumerate(self._segments) for name in segment.inputs}
        return last | {node.input[0]: len(self._segments) for node in self._final_stops}


@dataclass(frozen=True, eq=False)
class _Refiner:
    """Refines one convolution after the other.

    Attributes:
        model: the float graph.
        emitted: its QDQ graph, with every weight rounded to nearest.
        plan: the plan of both.
        rng: draws output positions.
        codes: what was chosen so far.
        biases: likewise.
        nearest: weights left as they are, with the reason.
        replaced: initializers of ``emitted`` in their refined form.
    """

    model: GraphIndex
    emitted: GraphIndex
    plan: QuantPlan
    rng: np.random.Generator
    codes: dict[str, npt.NDArray[np.int8]] = field(default_factory=dict)
    biases: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    nearest: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def refine(self, node: onnx.NodeProto, seen: Sequence[FloatArray]) -> None:
        """Choose codes and bias of ``node``, a convolution of the QDQ graph."""
        name, quant = self._weights[node.name]
        weight = self.model.constant(name)
        assert weight is not None  # the plan was emitted
        try:
            window = Window.of(node, weight.shape[2:])
        except GraphError as error:
            self.nearest[name] = str(error)
            return
        count = -(-POSITIONS // len(seen))
        columns = np.concatenate(
            [window.columns(values, count, self.rng) for values in seen], axis=1
        )
        mean = columns.mean(axis=1, dtype=np.float64)
        bias = own_bias(self.model, self._float_nodes[node.name])
        if bias is not None:
            columns -= mean.astype(np.float32)[:, np.newaxis]
        moment = columns @ columns.T / np.float32(columns.shape[1])
        flat = weight.reshape(len(weight), -1)
        limit = weight_limit(quant.bits)
        codes = second_order_codes(flat, moment, quant.scale_array, limit).reshape(weight.shape)
        self.codes[name] = codes
        self._replace(f"{name}_quantized", codes)
        if bias is not None:
            moved = flat - codes.reshape(flat.shape) * quant.scale_array[:, np.newaxis]
            self._move_bias(node, bias, moved @ mean)

    @cached_property
    def _weights(self) -> dict[str, tuple[str, WeightQuant]]:
        return {quant.node: (name, quant) for name, quant in self.plan.weights.items()}

    @cached_property
    def _float_nodes(self) -> dict[str, onnx.NodeProto]:
        return {node.name: node for node in self.model.nodes}

    def _move_bias(self, node: onnx.NodeProto, name: str, change: npt.NDArray[np.float64]) -> None:
        """Add ``change`` to a bias, on the grid that it is stored on."""
        value = self.model.constant(name)
        assert value is not None  # _own_bias
        moved = value.astype(np.float64) + change
        restored = self.emitted.producer(node.input[2])
        if restored is None or restored.op_type != "DequantizeLinear":
            self.biases[name] = moved.astype(np.float32).astype(np.float64)
            self._replace(node.input[2], moved.astype(np.float32))
            return
        scales = self.emitted.initializer(restored.input[1])
        assert scales is not None  # emitted with it
        steps = bias_codes(name, moved, scales)
        self.biases[name] = steps.astype(np.float64) * scales
        self._replace(restored.input[0], steps)

    def _replace(self, name: str, value: Array) -> None:
        self.replaced[name] = numpy_helper.from_array(value, name)
