"""Enlarge and convolve at once: Resize + Conv as one ConvTranspose.

A transposed convolution of stride r computes the phases of quant/passes/lowering/resize_phases.py
and puts each in its place (quant/numerics/phase_kernels.py): as few multiplications, and no tensor
but those that the graph has already.
"""

from collections.abc import Collection, Iterator

import numpy as np
import onnx
from onnx import helper

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.numerics.phase_kernels import transposed_kernel
from quant.passes.lowering.patterns import enlargement, only_reader, square_kernel
from quant.passes.lowering.replace import LeftAlone, Replacement, replaced


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


def enlargements(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the Resize nodes that :func:`find` replaces, in graph order."""
    places = (item for item in find(GraphIndex(model)) if isinstance(item, Replacement))
    return tuple(item.gone[0].name for item in places)


def transposed(model: onnx.ModelProto, nodes: Collection[str]) -> onnx.ModelProto:
    """Return a graph with some enlargements replaced; the graph itself where there are none.

    Args:
        model: the float graph; it is not changed.
        nodes: names of Resize nodes.

    Raises:
        GraphError: one of them is no enlargement that a plain convolution alone reads.
    """
    if not nodes:
        return model
    for name in nodes:
        if name not in enlargements(model):
            raise GraphError(
                f"expected node {name!r} to repeat the pixels of what one plain convolution reads"
            )
    index = GraphIndex(model)
    places = [item for item in find(index) if isinstance(item, Replacement)]
    return replaced(index, [item for item in places if item.gone[0].name in nodes])


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
