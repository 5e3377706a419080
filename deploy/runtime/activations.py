"""Estimate the memory that a network's activations take while it runs.

At each node its inputs, its outputs and whatever a later node reads are alive: as float32, or as
integers where nothing but a QuantizeLinear reads them, which a runtime fuses into the node before,
or where a Pad makes them.
Nodes that are fused so, or computed in place, take nothing of their own.
"""

import math

import onnx

from calib.graph import GraphIndex

_IN_PLACE = frozenset(
    [
        "Cast",
        "Clip",
        "DequantizeLinear",
        "Identity",
        "LeakyRelu",
        "PRelu",
        "QuantizeLinear",
        "Relu",
        "Sigmoid",
    ]
)
_FLOAT32_BYTES = 4


def peak_activation_bytes(model: onnx.ModelProto | GraphIndex, float_copies: float = 1.0) -> float:
    """Return the bytes of the largest set of activations that are alive together.

    Args:
        model: with static shapes.
        float_copies: how often a runtime keeps a float tensor, in another layout too.

    Raises:
        GraphError: a tensor's shape is not known.
    """
    index = GraphIndex.of(model)
    stored: dict[str, str] = {name: name for name in index.inputs}  # tensor -> whose memory it is
    last_read: dict[str, int] = {}
    for position, node in enumerate(index.nodes):
        read = [stored[name] for name in node.input if name in stored]
        for name in node.output:
            stored[name] = read[0] if node.op_type in _IN_PLACE and read else name
        last_read.update(dict.fromkeys((*read, *(stored[name] for name in node.output)), position))
    alive: dict[str, float] = {}
    peak = 0.0
    for position, node in enumerate(index.nodes):
        for name in {stored[name] for name in (*node.input, *node.output) if name in stored}:
            alive[name] = _element_bytes(index, name, float_copies) * math.prod(
                index.shape(name) or ()
            )
        peak = max(peak, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last_read[name] > position}
    return peak


def _element_bytes(index: GraphIndex, tensor: str, float_copies: float) -> float:
    maker, readers = index.producer(tensor), index.consumers(tensor)
    if maker is not None and maker.op_type == "Pad":
        return _itemsize(index.element_type(tensor))
    if not readers or any(reader.op_type != "QuantizeLinear" for reader in readers):
        return _FLOAT32_BYTES * float_copies
    return sum(_itemsize(index.element_type(name)) for reader in readers for name in reader.output)


def _itemsize(element_type: int) -> float:
    return float(onnx.helper.tensor_dtype_to_np_dtype(element_type).itemsize)
