"""Give a network another input size: the file is built for one, the network works at any.

Only dimensions change: those of the graph's ends, and the shapes that a Reshape reads. A network
may be resized where every operator treats all pixels alike: convolutions, what works element by
element, concatenation of channels, enlargement by a factor, what pads integers for convolutions,
and pixel (un)shuffling, which torch writes as Reshape, Transpose, Reshape:

    [1, 3, H, W] -> [1, 3, H/f, f, W/f, f] -> [1, 3, f, f, H/f, W/f] -> [1, 3*f*f, H/f, W/f]

So the sides of a Reshape are those of its input in order, each whole, split in two or joined from
several; of a side that is split, the first part grows.
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import onnx
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex, attribute_of, form_of
from quant.qdq.view import QdqView

_ALIKE_EVERYWHERE = frozenset(
    [
        "Add",
        "BatchNormalization",
        "Cast",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "DequantizeLinear",
        "Div",
        "Identity",
        "LeakyRelu",
        "Mul",
        "PRelu",
        "QuantizeLinear",
        "Relu",
        "Reshape",
        "Resize",
        "Sigmoid",
        "SpaceToDepth",
        "Sub",
        "Tanh",
        "Transpose",
    ]
)
"""Operators that treat all pixels alike, whatever the size of the picture."""

_TYPE_ONLY = frozenset(("Cast", "DequantizeLinear", "Identity", "QuantizeLinear"))


def resized_model(
    model: onnx.ModelProto | GraphIndex, height: int, width: int, scale: int | Fraction
) -> onnx.ModelProto:
    """Return the same network for another input size, with the shapes of all its tensors.

    Args:
        model: float, fp16 or QDQ, with one picture in and one out, in any form; as an index where
            it is resized more than once.
        height: rows of the new input; a multiple of :func:`side_factor`.
        width: columns of the new input, likewise.
        scale: output pixels per input pixel along one side, below 1 where it shrinks.

    Raises:
        GraphError: the network works at its own size only.
    """
    index = GraphIndex.of(model)
    model = index.model
    require_resizable(index)
    resized = onnx.ModelProto()
    resized.CopyFrom(model)
    graph = resized.graph
    del graph.value_info[:]
    for value, factor in ((graph.input[0], 1), (graph.output[0], scale)):
        dims = value.type.tensor_type.shape.dim
        down, across = _axes(model)
        dims[down].dim_value, dims[across].dim_value = int(height * factor), int(width * factor)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for name, shape in _reshapes(index, height, width).items():
        if any(
            node.op_type != "Reshape" or name in node.input[:1] for node in index.consumers(name)
        ):
            raise GraphError(
                f"the graph for {height}x{width} pixels is another network: constant {name!r} is a "
                "shape and a value as well"
            )
        tensors[name].CopyFrom(numpy_helper.from_array(np.array(shape, np.int64), name))
    try:
        resized = onnx.shape_inference.infer_shapes(resized, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(
            f"the network does not work at {height}x{width} pixels: {reason}"
        ) from error
    return resized


def require_resizable(model: onnx.ModelProto | GraphIndex) -> None:
    """Make sure that a network works at any size.

    Raises:
        GraphError: an operator of it does not; it is named.
    """
    index = GraphIndex.of(model)
    for node in index.nodes:
        if node.op_type not in _ALIKE_EVERYWHERE and not _pads_integers(index, node):
            raise GraphError(
                f"node {node.name!r} ({node.op_type}) may depend on the picture's size, so this "
                "network runs at its own input size only; run it in tiles"
            )
        if node.op_type == "Resize" and len(node.input) > 3 and node.input[3]:
            raise GraphError(
                f"node {node.name!r} resizes to a fixed size, so this network runs at its own "
                "input size only; run it in tiles"
            )


def _pads_integers(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Tell whether a node pads integers as a convolution would, which our own files do.

    What a float network pads by may be of its size.
    """
    pads = node.op_type == "Pad" and attribute_of(node, "mode", b"constant") == b"constant"
    return pads and QdqView(index).holds_codes(node.input[0])


def side_factor(model: onnx.ModelProto | GraphIndex) -> int:
    """Return what the sides of the input must be multiples of: the factor of a pixel-unshuffle."""
    index = GraphIndex.of(model)
    factors = [1]
    for node in index.nodes:
        if node.op_type == "SpaceToDepth":
            factors += [item.i for item in node.attribute if item.name == "blocksize"]
        if node.op_type == "Reshape":
            found, stated = _shapes(index, node)
            factors += [math.prod(parts[1:]) for _, parts in _groups(node, found, stated)]
    return math.lcm(*factors)


def _reshapes(index: GraphIndex, height: int, width: int) -> dict[str, list[int]]:
    """Return the shape that each Reshape of a network reads when the input has another size."""
    old_height, old_width = sides_of(index.model)
    sides = _resized_input(index, height, width)  # and of what lies between a Reshape and the next
    shapes: dict[str, list[int]] = {}
    for node in index.nodes:
        before = [*(index.shape(node.input[0]) or ())]
        new = sides.get(node.input[0], _scaled(before, (old_height, height), (old_width, width)))
        if node.op_type in _TYPE_ONLY:
            sides[node.output[0]] = new
        elif node.op_type == "Transpose":
            order = next(item.ints for item in node.attribute if item.name == "perm")
            sides[node.output[0]] = [new[axis] for axis in order]
        elif node.op_type == "Reshape":
            found, stated = _shapes(index, node)
            grown: list[int] = []
            for parts, made in _groups(node, found, stated):
                count, rest = len(parts), math.prod(made[1:])
                product = math.prod(new[:count])
                if product % rest:
                    raise GraphError(
                        f"node {node.name!r} splits a side of {product} in parts of {rest}; "
                        "expected a multiple of it"
                    )
                new = new[count:]
                grown += [product // rest, *made[1:]]
            shapes[node.input[1]] = grown
            sides[node.output[0]] = grown
    return shapes


def sides_of(model: onnx.ModelProto) -> tuple[int, int]:
    """Return height and width of a model's input, in pixels."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    down, across = _axes(model)
    return dims[down].dim_value, dims[across].dim_value


def _axes(model: onnx.ModelProto) -> tuple[int, int]:
    """Return along which axes of its ends the rows and the columns of a picture lie."""
    return (1, 2) if form_of(model).layout == "nhwc" else (2, 3)


def _resized_input(index: GraphIndex, height: int, width: int) -> dict[str, list[int]]:
    """Return the shape of an interleaved input at another size; a planar one is scaled as usual."""
    (name,) = index.inputs
    if form_of(index.model).layout == "nchw":
        return {}
    batch, _, _, channels = index.shape(name) or (0, 0, 0, 0)
    return {name: [batch, height, width, channels]}


def _scaled(before: list[int], down: tuple[int, int], across: tuple[int, int]) -> list[int]:
    """Return a shape [N, C, H, W] anywhere in a network whose input changes its sides."""
    if len(before) != 4:
        return before
    return [*before[:2], before[2] * down[1] // down[0], before[3] * across[1] // across[0]]


def _shapes(index: GraphIndex, node: onnx.NodeProto) -> tuple[list[int], list[int]]:
    """Return the shapes that a Reshape takes and gives, as the graph states them."""
    before, after = index.shape(node.input[0]), index.shape(node.output[0])
    if before is None or after is None or index.initializer(node.input[1]) is None:
        raise GraphError(f"node {node.name!r} reshapes to what is no constant; run it in tiles")
    return [*before], [*after]


def _groups(
    node: onnx.NodeProto, before: Sequence[int], after: Sequence[int]
) -> Iterator[tuple[list[int], list[int]]]:
    """Pair the sides that a Reshape takes with those it makes of them: one of them is single."""
    left, right = [*before], [*after]
    while left and right:
        taken, made = [left.pop(0)], [right.pop(0)]
        while math.prod(taken) != math.prod(made):
            shorter, rest = (taken, left) if math.prod(taken) < math.prod(made) else (made, right)
            if not rest:
                break
            shorter.append(rest.pop(0))
        if math.prod(taken) != math.prod(made) or min(len(taken), len(made)) != 1:
            raise GraphError(
                f"node {node.name!r} reshapes {[*before]} to {[*after]}, which mixes sides; run it "
                "in tiles"
            )
        yield taken, made
    if left or right:
        raise GraphError(f"node {node.name!r} reshapes {[*before]} to {[*after]}; run it in tiles")
