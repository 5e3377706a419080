"""A graph and the tensors wanted of it in, those tensors out as they appear, few at a time.

The graph is cut into segments that run one after another, each as its own onnxruntime session,
so that what a segment hands out stays under a byte budget. A cut costs the tensors that are alive
there: they leave the runtime and enter it again, and no operators fuse across it. The cheapest
set of cuts is found exactly, by dynamic programming over the positions between nodes: on a
residual network these are the ends of the dense blocks.

The cuts depend on the graph, the wanted tensors and the budget alone, and each session computes
the same bits with any number of threads, so the tensors are reproducible on one kind of CPU.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from calib.errors import CalibrationError
from calib.graph import GraphIndex
from calib.runtime import Session
from calib.statistics import TensorStatistics

Array = np.ndarray[Any, np.dtype[Any]]

BUDGET_BYTES = 64 << 20
_SESSION_COST_BYTES = 1 << 20  # what starting a session costs, as bytes that cross a cut


@dataclass(frozen=True)
class Segment:
    """A run of consecutive nodes of a graph.

    Attributes:
        nodes: in topological order, without Constant nodes.
        inputs: tensors it reads that other segments, or the graph's inputs, supply.
        outputs: tensors it makes that are wanted or read by later segments.
    """

    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def split_graph(
    index: GraphIndex, wanted: Sequence[str], budget_bytes: int = BUDGET_BYTES
) -> tuple[Segment, ...]:
    """Cut the part of a graph that ``wanted`` depends on into segments.

    A segment hands out at most ``budget_bytes``, or a single tensor that is larger.

    Raises:
        CalibrationError: a wanted tensor is not in the graph.
        GraphError: a tensor at a possible cut has no static shape.
    """
    steps = _needed_nodes(index, wanted)
    layout = _Layout(index, steps, frozenset(wanted))
    # best[p]: cheapest way to cut the first p steps, with the start of its last segment.
    best: list[tuple[int, int]] = [(0, 0)]
    for stop in range(1, len(steps) + 1):
        cut_cost = layout.cut_cost(stop)
        handed_out, size_bytes = 0, 0
        options = []
        for start in range(stop - 1, -1, -1):
            for name in layout.handed_out(start, stop):
                handed_out += 1
                size_bytes += layout.size_bytes(name)
            if handed_out > 1 and size_bytes > budget_bytes:
                break
            options.append((best[start][0] + cut_cost, start))
        # A single node may make several tensors that exceed the budget: it still has to run.
        best.append(min(options, default=(best[stop - 1][0] + cut_cost, stop - 1)))
    segments = []
    stop = len(steps)
    while stop:
        start = best[stop][1]
        segments.append(layout.segment(start, stop))
        stop = start
    return tuple(reversed(segments))


class SegmentedGraph:
    """A graph loaded as a chain of sessions that gives up its inner tensors as it runs.

    Args:
        model: the graph, with static shapes.
        wanted: tensors to hand out, graph inputs included if named.
        threads: threads per session; ``None`` takes every core.
        budget_bytes: see :func:`split_graph`.
        optimized: run fused, as shipped, or exactly node by node.

    Attributes:
        wanted: the tensors handed out, each once.
        inputs: static shape of each graph input.

    Raises:
        CalibrationError: nothing is wanted, or a wanted tensor is not in the graph.
        GraphError: the graph cannot be cut or loaded.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        wanted: Sequence[str],
        *,
        threads: int | None = None,
        budget_bytes: int = BUDGET_BYTES,
        optimized: bool = True,
    ) -> None:
        if not wanted:
            raise CalibrationError("no tensors to observe; name at least one")
        index = GraphIndex(model)
        self.wanted = tuple(dict.fromkeys(wanted))
        self.inputs = {name: index.shape(name) for name in index.inputs}
        segments = split_graph(index, self.wanted, budget_bytes)
        # Names only: a kept node would keep the whole model in memory.
        self._ends = [(segment.inputs, segment.outputs) for segment in segments]
        self._last_reader = {name: at for at, ends in enumerate(self._ends) for name in ends[0]}
        self._sessions = [
            Session(
                _segment_model(index, segment),
                optimized=optimized,
                threads=threads,
                shared_arena=True,
            )
            for segment in segments
        ]

    def run(self, feeds: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Run once; yield the wanted tensors of each segment, by name, as they appear.

        A yielded array is dropped when the caller drops it, unless a later segment reads it.
        """
        held = dict(feeds)
        given = {name: held[name] for name in self.wanted if name in held}
        if given:
            yield given
        wanted = frozenset(self.wanted)
        for number, ((inputs, outputs), session) in enumerate(
            zip(self._ends, self._sessions, strict=True)
        ):
            made = session.run({name: held[name] for name in inputs}, outputs)
            held = {
                name: array
                for name, array in (held | made).items()
                if self._last_reader.get(name, -1) > number
            }
            appeared = {name: array for name, array in made.items() if name in wanted}
            del made
            if appeared:
                yield appeared
            del appeared


def observe(
    graph: SegmentedGraph,
    feeds: Mapping[str, Array],
    *,
    source: str,
    threads: int | None = None,
) -> dict[str, TensorStatistics]:
    """Run a graph once and return the statistics of its wanted tensors, in their given order.

    Args:
        graph: the loaded graph.
        feeds: one image, by graph input.
        source: the image's name, for messages.
        threads: threads that count values; ``None`` takes every core.

    Raises:
        CalibrationError: a tensor holds NaN or infinity; the message names both.
    """

    def statistics(item: tuple[str, Array]) -> TensorStatistics:
        try:
            return TensorStatistics.of(item[1])
        except CalibrationError as error:
            raise CalibrationError(
                f"tensor {item[0]!r} on image {source!r}: {error}; "
                "check the weights and the image, no range can be taken from such values"
            ) from error

    found: dict[str, TensorStatistics] = {}
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for appeared in graph.run(feeds):
            found |= zip(appeared, pool.map(statistics, appeared.items()), strict=True)
            appeared.clear()
    return {name: found[name] for name in graph.wanted}


class _Layout:
    """Where each tensor of a node sequence is made and last read."""

    def __init__(
        self, index: GraphIndex, steps: Sequence[onnx.NodeProto], wanted: frozenset[str]
    ) -> None:
        self._index = index
        self._steps = steps
        self._made = {name: at for at, node in enumerate(steps) for name in node.output if name}
        self._last_read = {
            name: at
            for at, node in enumerate(steps)
            for name in node.input
            if name in self._made or name in index.inputs
        }
        self._wanted = wanted
        self._size_bytes: dict[str, int] = {}

    def size_bytes(self, tensor: str) -> int:
        if tensor not in self._size_bytes:
            self._size_bytes[tensor] = self._index.size_bytes(tensor)
        return self._size_bytes[tensor]

    def handed_out(self, step: int, stop: int) -> list[str]:
        """Return what step ``step`` must hand out if its segment ends before ``stop``."""
        return [
            name
            for name in self._steps[step].output
            if name in self._wanted or self._last_read.get(name, -1) >= stop
        ]

    def cut_cost(self, position: int) -> int:
        alive = (
            name
            for name, last in self._last_read.items()
            if last >= position and self._made.get(name, -1) < position
        )
        return _SESSION_COST_BYTES + sum(map(self.size_bytes, alive))

    def segment(self, start: int, stop: int) -> Segment:
        nodes = tuple(self._steps[start:stop])
        read = dict.fromkeys(
            name for node in nodes for name in node.input if name in self._last_read
        )
        inputs = tuple(name for name in read if self._made.get(name, -1) < start)
        outputs = tuple(n for at in range(start, stop) for n in self.handed_out(at, stop))
        return Segment(nodes, inputs, outputs)


def _needed_nodes(index: GraphIndex, wanted: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that ``wanted`` depends on, in topological order, without constants."""
    missing = [name for name in wanted if not index.has_tensor(name)]
    if missing:
        raise CalibrationError(
            f"tensor {missing[0]!r} ({len(missing)} in all) is not in the graph; "
            "the list of tensors was made for another graph"
        )
    needed = set(wanted)
    nodes = []
    for node in reversed(index.nodes):
        if node.op_type != "Constant" and not needed.isdisjoint(node.output):
            needed |= set(node.input)
            nodes.append(node)
    return nodes[::-1]


def _segment_model(index: GraphIndex, segment: Segment) -> onnx.ModelProto:
    """Return a segment as a model of its own, with the constants that it reads."""
    model = onnx.ModelProto(
        ir_version=index.model.ir_version, opset_import=index.model.opset_import
    )
    graph = model.graph
    graph.name = "segment"
    for name in dict.fromkeys(name for node in segment.nodes for name in node.input):
        maker = index.producer(name)
        if name in index.initializers:
            graph.initializer.append(index.initializers[name])
        elif maker is not None and maker.op_type == "Constant":
            graph.node.append(maker)
    graph.node.extend(segment.nodes)
    for infos, names in ((graph.input, segment.inputs), (graph.output, segment.outputs)):
        infos.extend(
            onnx.helper.make_tensor_value_info(name, index.element_type(name), index.shape(name))
            for name in names
        )
    return model
