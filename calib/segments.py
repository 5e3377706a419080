"""Cut a graph into a chain of smaller graphs that make the wanted tensors.

Cutting a graph costs the tensors that are alive at the cut: they leave the runtime and enter it
again, and no operators fuse across it. :func:`split_graph` finds the cheapest cuts under a byte
budget exactly, by dynamic programming over the positions between nodes: on a residual network
these are the ends of the dense blocks. :func:`cut_graph` cuts where it is told to.

Cuts depend on the graph, the wanted tensors and the budget alone.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx

from calib.errors import CalibrationError
from calib.graph import GraphIndex

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


def cut_graph(
    index: GraphIndex, wanted: Sequence[str], starts: Collection[str]
) -> tuple[Segment, ...]:
    """Cut the part of a graph that ``wanted`` depends on before each node named in ``starts``.

    Nodes that only prepare constants for such a node, directly before it, stay with it.

    Raises:
        CalibrationError: a wanted tensor is not in the graph.
    """
    steps = _needed_nodes(index, wanted)
    layout = _Layout(index, steps, frozenset(wanted))
    cuts = [0]
    for at, node in enumerate(steps):
        if node.name in starts:
            while at and all(map(index.is_constant, filter(None, steps[at - 1].input))):
                at -= 1  # noqa: PLW2901  # walks back from the node
            cuts.append(at)
    cuts.append(len(steps))
    return tuple(layout.segment(a, b) for a, b in itertools.pairwise(cuts) if a < b)


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
        """Return what a cut before step ``position`` costs; ``position`` is at least 1."""
        return _SESSION_COST_BYTES + self._alive_bytes[position]

    @cached_property
    def _alive_bytes(self) -> list[int]:
        """By position, the size of what is made before it and read from there on."""
        changes = [0] * (len(self._steps) + 1)
        for name, last in self._last_read.items():
            first = max(self._made.get(name, -1) + 1, 1)
            if last >= first:
                changes[first] += self.size_bytes(name)
                changes[last + 1] -= self.size_bytes(name)
        return list(itertools.accumulate(changes))

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


def segment_model(index: GraphIndex, segment: Segment) -> onnx.ModelProto:
    """Return a segment as a model of its own, with the constants that it reads.

    Args:
        index: the graph the segment was cut from.
        segment: the nodes.
    """
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
