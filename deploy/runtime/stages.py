"""Cut a network where its pictures grow: a trunk at the input's size, and a head that enlarges.

The tensors of the head have scale² times the pixels, so it takes nearly all of a network's memory,
and little of its arithmetic: of x4plus a twelfth. Apart, the trunk takes a picture in few large
tiles, and the head the trunk's output in small ones. A pixel of the head depends on few around it,
which are counted here: with so many around each small tile, the head draws what it draws whole.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import onnx

from calib.graph import CONVOLUTIONS, QDQ_PAIR, GraphIndex, attribute_of
from calib.segments import Segment, segment_model

_FLOATS = frozenset((onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16))
_INTERPOLATION_PX = {"nearest": 1, "linear": 1, "cubic": 2}


@dataclass(frozen=True, eq=False)
class Stages:
    """A network in two parts, one after the other the same.

    Attributes:
        trunk: from the network's input to the tensor that enters the head, [1, C, h, w], float32
            or float16.
        head: from that tensor to the network's output.
        shrink: pixels of the network's input per pixel of that tensor along one side.
        reach_px: how far around a pixel of that tensor the head looks, in its own pixels.
    """

    trunk: onnx.ModelProto
    head: onnx.ModelProto
    shrink: int
    reach_px: int


def cut_where_it_grows(model: onnx.ModelProto | GraphIndex) -> Stages | None:
    """Return a network in two parts, or ``None`` where no single tensor leads to all that grows.

    A QDQ pair goes with what reads it, so that runtimes find it whole.

    Args:
        model: with static shapes, one input and one output.
    """
    index = GraphIndex.of(model)
    head = _head(index)
    trunk_makes = {name for node in index.nodes if node.name not in head for name in node.output}
    entering = {
        name
        for node in index.nodes
        if node.name in head
        for name in node.input
        if name in trunk_makes or name in index.inputs
    }
    if len(entering) != 1:
        return None
    (tensor,) = entering
    (taken,), (given,) = index.inputs, index.outputs
    found, before = index.shape(tensor), index.shape(taken)
    is_float = index.element_type(tensor) in _FLOATS
    if tensor == taken or given in trunk_makes or not is_float:
        return None
    if found is None or before is None or len(found) != 4 or before[2] % found[2]:
        return None
    parts: tuple[list[onnx.NodeProto], list[onnx.NodeProto]] = [], []
    for node in index.nodes:
        if node.op_type != "Constant":
            parts[node.name in head].append(node)
    trunk, last = (
        _stage(index, Segment(tuple(nodes), (first,), (end,)))
        for nodes, first, end in ((parts[0], taken, tensor), (parts[1], tensor, given))
    )
    return Stages(trunk, last, before[2] // found[2], _reach_px(index, parts[1], tensor))


def _stage(index: GraphIndex, segment: Segment) -> onnx.ModelProto:
    """Return a segment as a model that states the shapes of its tensors, as they are known."""
    model = segment_model(index, segment)
    made = {name for node in segment.nodes for name in node.output}
    infos = index.model.graph.value_info
    model.graph.value_info.extend(info for info in infos if info.name in made)
    return model


def _head(index: GraphIndex) -> set[str]:
    """Return the names of the nodes that compute on grown tensors, or prepare what does."""
    head: set[str] = set()
    drawn = {*index.inputs}  # what depends on the picture
    for node in index.nodes:
        if not drawn.isdisjoint(node.input):
            drawn.update(node.output)
        if _grows(index, node) or any(
            maker.name in head for name in node.input if (maker := index.producer(name)) is not None
        ):
            head.add(node.name)
    for node in reversed(index.nodes):
        readers = [reader for name in node.output for reader in index.consumers(name)]
        prepares = node.op_type in QDQ_PAIR or drawn.isdisjoint(node.output)
        if prepares and readers and all(reader.name in head for reader in readers):
            head.add(node.name)
    return head


def _grows(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Tell whether a node enlarges; what pads for a convolution behind it does not."""
    if node.op_type == "Pad":
        return False
    pixels = partial(_pixels, index)
    given = [count for name in node.input if (count := pixels(name))]
    made = [count for name in node.output if (count := pixels(name))]
    return bool(given and made) and max(made) > max(given)


def _pixels(index: GraphIndex, tensor: str) -> int:
    """Return the pixels of an activation; 0 for what is none."""
    shape = None if index.is_constant(tensor) or not tensor else index.shape(tensor)
    return math.prod(shape[2:]) if shape is not None and len(shape) == 4 else 0


def _reach_px(index: GraphIndex, nodes: Sequence[onnx.NodeProto], entry: str) -> int:
    """Return how many pixels of ``entry`` to each side an output pixel may depend on."""
    side = (index.shape(entry) or (0, 0, 0, 0))[2]
    reach = {entry: 0.0}
    for node in nodes:
        reached = [
            reach[name] + taps * side / (index.shape(name) or (0, 0, side, 0))[2]
            for name in node.input
            if name in reach
            for taps in [max(_taps(index, node), default=0)]
        ]
        if reached:
            reach.update(dict.fromkeys(node.output, max(reached)))
    return math.ceil(max(reach.values())) + 1  # an output pixel lies between two of them


def _taps(index: GraphIndex, node: onnx.NodeProto) -> Iterator[int]:
    """Yield how many pixels of its input to a side a node may look at."""
    if node.op_type in CONVOLUTIONS:
        kernel = (index.shape(node.input[1]) or ())[2:]
        dilations = attribute_of(node, "dilations", [1, 1])
        yield from ((size - 1) * step for size, step in zip(kernel, dilations, strict=True))
    elif node.op_type == "Resize":
        yield _INTERPOLATION_PX[attribute_of(node, "mode", b"nearest").decode()]
