"""Recognise what several lowerings look for: enlargements, convolutions, what follows them."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import onnx

from calib.graph import GraphIndex, attribute_of
from quant.analysis.topology import ACTIVATIONS

_UNSHUFFLE = [0, 1, 3, 5, 2, 4]
_PLACES: Mapping[bytes, Callable[[int, int], Fraction]] = {
    b"asymmetric": Fraction,
    b"half_pixel": lambda place, factor: Fraction(2 * place + 1 - factor, 2 * factor),
    b"pytorch_half_pixel": lambda place, factor: Fraction(2 * place + 1 - factor, 2 * factor),
}
"""Where the places that a pixel is enlarged to lie beside it, in pixels."""
_ROUNDINGS: Mapping[bytes, Callable[[Fraction], int]] = {
    b"floor": math.floor,
    b"ceil": math.ceil,
    b"round_prefer_floor": lambda position: math.ceil(position - Fraction(1, 2)),
    b"round_prefer_ceil": lambda position: math.floor(position + Fraction(1, 2)),
}


def enlargement(index: GraphIndex, node: onnx.NodeProto | None) -> int | None:
    """Return the whole factor by which a Resize repeats pixels along both axes, or ``None``."""
    if node is None or node.op_type != "Resize":
        return None
    before, after = index.shape(node.input[0]), index.shape(node.output[0])
    if before is None or after is None or len(before) != 4:
        return None
    factor = after[2] // before[2]
    enlarged = (*before[:2], before[2] * factor, before[3] * factor)
    return factor if factor > 1 and after == enlarged and _repeats(node, factor) else None


def _repeats(resize: onnx.NodeProto, factor: int) -> bool:
    """Tell whether every place that a pixel is enlarged to takes that pixel's value."""
    mode = attribute_of(resize, "mode", b"nearest")
    place = _PLACES.get(attribute_of(resize, "coordinate_transformation_mode", b"half_pixel"))
    rounded = _ROUNDINGS[attribute_of(resize, "nearest_mode", b"round_prefer_floor")]
    if mode != b"nearest" or place is None:
        return False
    return all(rounded(place(number, factor)) == 0 for number in range(factor))


def square_kernel(index: GraphIndex, node: onnx.NodeProto | None) -> int | None:
    """Return the odd side of a convolution's kernel that looks at every pixel and its neighbours.

    ``None`` for what is no convolution, is strided, dilated or grouped, does not keep the size of
    the picture, or whose weight or bias is no constant.
    """
    if node is None or node.op_type != "Conv":
        return None
    shape = index.shape(node.input[1]) if index.is_constant(node.input[1]) else None
    if shape is None or len(shape) != 4 or shape[2] != shape[3] or shape[2] % 2 == 0:
        return None
    around = [shape[2] // 2] * 4
    constant_bias = all(index.is_constant(name) for name in node.input[2:] if name)
    plain = (
        attribute_of(node, "group", 1) == 1
        and list(attribute_of(node, "strides", [1, 1])) == [1, 1]
        and list(attribute_of(node, "dilations", [1, 1])) == [1, 1]
        and list(attribute_of(node, "pads", [0] * 4)) == around
        and attribute_of(node, "auto_pad", b"NOTSET") == b"NOTSET"
    )
    return shape[2] if plain and constant_bias else None


def only_reader(index: GraphIndex, tensor: str) -> onnx.NodeProto | None:
    """Return the one node that reads a tensor; ``None`` where it is an output or others do."""
    readers = index.consumers(tensor)
    return readers[0] if len(readers) == 1 and tensor not in index.outputs else None


def activation_behind(index: GraphIndex, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Return the activation that alone reads a node's output, if there is one."""
    reader = only_reader(index, node.output[0])
    return reader if reader is not None and reader.op_type in ACTIVATIONS else None


def channel_slopes(index: GraphIndex, node: onnx.NodeProto) -> np.ndarray | None:
    """Return float32 ``[C]``, the slope of each channel of a PRelu, or ``None``."""
    slopes = index.constant(node.input[1]) if node.op_type == "PRelu" else None
    shape = index.shape(node.output[0])
    if slopes is None or shape is None or len(shape) != 4:
        return None
    if slopes.size != 1 and slopes.shape not in {(shape[1], 1, 1), (1, shape[1], 1, 1)}:
        return None
    return np.broadcast_to(slopes.reshape(-1), shape[1:2])


def unshuffled(
    index: GraphIndex, node: onnx.NodeProto
) -> tuple[list[onnx.NodeProto], int, str] | None:
    """Return the nodes that unshuffle pixels, the last one ``node``, the block and the order.

    The order of channels is ``CRD``, channel by channel, for Reshape, Transpose and Reshape, and
    ``DCR``, place by place, for SpaceToDepth.
    """
    if node.op_type == "SpaceToDepth":
        return [node], int(attribute_of(node, "blocksize", 0)), "DCR"
    middle = index.producer(node.input[0]) if node.op_type == "Reshape" else None
    if middle is None or middle.op_type != "Transpose":
        return None
    first = index.producer(middle.input[0])
    if first is None or first.op_type != "Reshape":
        return None
    alone = all(only_reader(index, item.output[0]) is not None for item in (first, middle))
    before, split = index.shape(first.input[0]), index.shape(first.output[0])
    after = index.shape(node.output[0])
    if not alone or before is None or split is None or after is None or len(before) != 4:
        return None
    if len(split) != 6 or list(attribute_of(middle, "perm", [])) != _UNSHUFFLE:
        return None
    block = split[3]
    batch, channels, height, width = before
    apart = (batch, channels, height // block, block, width // block, block)
    together = (batch, channels * block**2, height // block, width // block)
    return ([first, middle, node], block, "CRD") if (split, after) == (apart, together) else None
