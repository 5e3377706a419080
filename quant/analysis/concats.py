"""Say what a Concat joins: a dense block reads one of its trunk tensor and its growth tensors."""

import onnx

from calib.graph import GraphIndex, attribute_of

_CHANNEL_AXIS = 1


def is_concat(index: GraphIndex, tensor: str) -> bool:
    """Tell whether a Concat makes ``tensor``."""
    producer = index.producer(tensor)
    return producer is not None and producer.op_type == "Concat"


def joins_channels(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Tell whether ``node`` is a Concat along the channels, counted from either end."""
    if node.op_type != "Concat":
        return False
    shapes = (index.shape(name) for name in (*node.output, *node.input))
    rank = next((len(shape) for shape in shapes if shape is not None), 0)
    return attribute_of(node, "axis", 0) in {_CHANNEL_AXIS, _CHANNEL_AXIS - rank}


def joined(index: GraphIndex, tensor: str) -> tuple[str, ...]:
    """Return the tensors that a tensor is the Concat of along its channels, or itself."""
    producer = index.producer(tensor)
    if producer is None or not joins_channels(index, producer):
        return (tensor,)
    return tuple(source for name in producer.input for source in joined(index, name))
