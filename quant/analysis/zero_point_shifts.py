"""Tell which Concats can join integers of zero points of their own.

What reads them has to make up for it (quant/planning/integer_concats.py): convolutions alone, by
biases of their own, which pad alike.
"""

import onnx

from calib.graph import GraphIndex, attribute_of
from quant.analysis.concats import is_concat, joins_channels


def can_shift_zero_points(index: GraphIndex, concat: onnx.NodeProto) -> bool:
    """Tell whether all that reads a Concat of channels can make up for zero points before it."""
    readers = index.consumers(concat.output[0])
    return (
        joins_channels(index, concat)
        and concat.output[0] not in index.outputs
        and not any(index.is_constant(name) or is_concat(index, name) for name in concat.input)
        and all(_makes_up(index, node) for node in readers)
        and len({tuple(attribute_of(node, "pads", [0] * 4)) for node in readers}) == 1
    )


def _makes_up(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Tell whether a node is a convolution whose own bias and padding can make up for them."""
    return (
        node.op_type == "Conv"
        and len(node.input) > 2
        and index.constant(node.input[2]) is not None
        and len(index.consumers(node.input[2])) == 1
        and attribute_of(node, "group", 1) == 1
        and attribute_of(node, "auto_pad", b"NOTSET") == b"NOTSET"
    )
