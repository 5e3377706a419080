"""Shuffle pixels without DepthToSpace, and unshuffle them without SpaceToDepth.

DepthToSpace   Reshape -> Transpose -> Reshape, which is how ONNX defines it
DepthToSpace   ConvTranspose of stride r and kernel r: weight 1 from each channel to its place,
               0 elsewhere, so nothing overlaps and every value is copied
SpaceToDepth   the convolution behind it, over the picture itself: a tap at (d, e) of the
               channel of place (i, j) is a tap at (r d + i, r e + j), with stride r.
               As many multiplications as before
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from calib.arrays import AnyArray, Float32
from calib.graph import GraphIndex, attribute_of
from quant.passes.lowering.patterns import only_reader, square_kernel, unshuffled
from quant.passes.lowering.replace import LeftAlone, Replacement


def find_transposed(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield Reshape, Transpose and Reshape in the place of every DepthToSpace."""
    for node, block, by_channel in _shuffles(index):
        shape = index.shape(node.input[0])
        if shape is None:
            yield LeftAlone(node.name, "its shape is not static")
            continue
        batch, channels, height, width = shape
        outputs = channels // block**2
        apart = (outputs, block, block) if by_channel else (block, block, outputs)
        perm = [0, 1, 4, 2, 5, 3] if by_channel else [0, 3, 4, 1, 5, 2]
        name, output = node.name, node.output[0]
        constants: dict[str, AnyArray] = {
            f"{name}.split": np.array([batch, *apart, height, width]),
            f"{name}.shape": np.array([batch, outputs, height * block, width * block]),
        }
        split, whole = constants
        middle = f"{output}_split", f"{output}_ordered"
        nodes = [
            helper.make_node("Reshape", [node.input[0], split], [middle[0]], f"{name}/split"),
            helper.make_node("Transpose", [middle[0]], [middle[1]], f"{name}/order", perm=perm),
            helper.make_node("Reshape", [middle[1], whole], [output], f"{name}/join"),
        ]
        yield Replacement([node], nodes, constants)


def find_deconvolved(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield a ConvTranspose that copies values in the place of every DepthToSpace."""
    for node, block, by_channel in _shuffles(index):
        shape = index.shape(node.input[0])
        if shape is None:
            yield LeftAlone(node.name, "its shape is not static")
            continue
        weight = _places(shape[1] // block**2, block, by_channel=by_channel)
        name = f"{node.name}.weight"
        made = helper.make_node(
            "ConvTranspose",
            [node.input[0], name],
            list(node.output),
            node.name,
            strides=[block, block],
        )
        yield Replacement([node], [made], {name: weight})


def find_strided(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield a strided convolution in the place of each unshuffle that a convolution alone reads."""
    for last in index.nodes:
        found = unshuffled(index, last)
        if found is None:
            continue
        nodes, block, order = found
        conv = only_reader(index, last.output[0])
        kernel = square_kernel(index, conv)
        if conv is None or kernel is None:
            yield LeftAlone(last.name, "no plain convolution alone reads it")
            continue
        weight = index.constant(conv.input[1])
        assert weight is not None  # square_kernel
        name = f"{conv.input[1]}.strided"
        strided = helper.make_node(
            "Conv",
            [nodes[0].input[0], name, *conv.input[2:]],
            list(conv.output),
            conv.name,
            pads=[block * (kernel // 2)] * 4,
            strides=[block, block],
        )
        yield Replacement([*nodes, conv], [strided], {name: _strided_weight(weight, block, order)})


def _shuffles(index: GraphIndex) -> Iterator[tuple[onnx.NodeProto, int, bool]]:
    """Yield each DepthToSpace, its block, and whether channels come channel by channel."""
    for node in index.nodes:
        if node.op_type == "DepthToSpace":
            by_channel = attribute_of(node, "mode", b"DCR") == b"CRD"
            yield node, int(attribute_of(node, "blocksize", 0)), by_channel


def _places(outputs: int, block: int, *, by_channel: bool) -> Float32:
    """Return float32 ``[C * r^2, C, r, r]`` of zeros and a one for each channel."""
    channel, row, column = np.meshgrid(
        np.arange(outputs), np.arange(block), np.arange(block), indexing="ij"
    )
    source = (channel * block + row) * block + column
    if not by_channel:
        source = (row * block + column) * outputs + channel
    weight = np.zeros((outputs * block**2, outputs, block, block), np.float32)
    weight[source, channel, row, column] = 1.0
    return weight


def _strided_weight(weight: AnyArray, block: int, order: str) -> AnyArray:
    """Return ``[O, C, r K, r K]`` of ``[O, C * r^2, K, K]``."""
    outputs, inputs, kernel, _ = weight.shape
    channels = inputs // block**2
    if order == "CRD":
        apart = weight.reshape(outputs, channels, block, block, kernel, kernel)
    else:
        apart = weight.reshape(outputs, block, block, channels, kernel, kernel)
        apart = apart.transpose(0, 3, 1, 2, 4, 5)
    side = block * kernel
    return np.ascontiguousarray(apart.transpose(0, 1, 4, 2, 5, 3)).reshape(
        outputs, channels, side, side
    )
