"""Enlarge and convolve at once: Resize + Conv as one ConvTranspose.

A transposed convolution of stride r computes the phases of quant/passes/lowering/resize_phases.py
and puts each in its place (quant/numerics/phase_kernels.py): as few multiplications, and no tensor
but those that the graph has already.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from calib.graph import GraphIndex
from quant.numerics.phase_kernels import transposed_kernel
from quant.passes.lowering.patterns import enlargement, only_reader, square_kernel
from quant.passes.lowering.replace import LeftAlone, Replacement


def find(index: GraphIndex) -> Iterator[Replacement | LeftAlone]:
    """Yield what takes the place of every enlargement that one convolution reads."""
    for node in index.nodes:
        factor = enlargement(index, node)
        if factor is None:
            continue
        convolution = only_reader(index, node.output[0])
        if convolution is None or square_kernel(index, convolution) is None:
            yield LeftAlone(node.name, "no plain convolution alone reads it")
        else:
            yield _transposed(index, node, convolution, factor)


def _transposed(
    index: GraphIndex, resize: onnx.NodeProto, conv: onnx.NodeProto, factor: int
) -> Replacement:
    weight = index.constant(conv.input[1])
    assert weight is not None  # square_kernel
    kernel = transposed_kernel(weight.astype(np.float64), factor).astype(np.float32)
    name = f"{conv.input[1]}.transposed"
    made = helper.make_node(
        "ConvTranspose",
        [resize.input[0], name, *conv.input[2:]],
        list(conv.output),
        conv.name,
        pads=[weight.shape[2] // 2] * 4,
        strides=[factor, factor],
    )
    return Replacement([resize, conv], [made], {name: kernel})
