"""Count the multiply-accumulates of a convolution: what its precision costs a chip."""

import math

import onnx

from calib.graph import GraphIndex


def multiplications(index: GraphIndex, node: onnx.NodeProto) -> int:
    """Return a convolution's multiply-accumulates; 0 where a shape is not known.

    They are the elements of its output times the weights that make one output channel; of a
    transposed convolution, of its input and the weights that spread one input channel.

    Args:
        index: the graph.
        node: Conv, ConvTranspose, ConvInteger or QLinearConv.
    """
    weight = index.shape(node.input[3 if node.op_type == "QLinearConv" else 1])
    moved = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
    elements = index.shape(moved)
    if not weight or not elements or 0 in elements:
        return 0
    return math.prod(elements) * (math.prod(weight) // weight[0])
