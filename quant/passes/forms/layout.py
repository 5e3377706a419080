"""Let a graph take and give pictures as [N, H, W, 3]: a Transpose at either end.

Where the picture is read in integers, the Transpose stands behind its QDQ pair and has one of its
own behind it, so that a chip that quantizes every operator finds it quantized:

    input -> Q -> DQ -> Transpose -> Q -> DQ -> ...        likewise behind the network
    input -> Transpose -> ...                              where that is in float

The second pair has the parameters of the first, and changes no value.
"""

from collections.abc import Iterator, Sequence

import onnx

from calib.errors import GraphError
from calib.graph import QDQ_PAIR, GraphIndex
from quant.passes.forms.edited import EditedGraph

_PREFIX = "layout/"
_IN = [0, 3, 1, 2]
_OUT = [0, 2, 3, 1]
_STEPS = QDQ_PAIR | {"Cast"}


def interleaved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that takes and gives [N, H, W, C].

    Args:
        model: of one input and one output [N, C, H, W]; it is not changed.

    Raises:
        GraphError: a shape is not known.
    """
    index, edited = GraphIndex(model), EditedGraph(model, _PREFIX)
    (given,) = index.outputs
    *steps, picture = _until_read(index)
    _in_front(index, edited, picture)
    for tensor in (*steps, picture):
        edited.reshape(tensor, _arranged(index, tensor, _OUT))
    _behind(index, edited, given)
    edited.reshape(given, _arranged(index, given, _OUT))
    return edited.model


def planar(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph of which :func:`interleaved` made one.

    Raises:
        GraphError: it made none such.
    """
    index, edited = GraphIndex(model), EditedGraph(model, _PREFIX)
    (given,), own = index.outputs, [n for n in index.nodes if n.name.startswith(_PREFIX)]
    turns = [node for node in own if node.op_type == "Transpose"]
    if len(turns) != 2:
        raise GraphError(f"found {len(turns)} transpositions of the picture, expected 2")
    first, last = turns
    picture, planes = first.input[0], last.input[0]
    for node in own:
        for tensor in node.output:
            readers = [r.output[0] for r in index.consumers(tensor) if r not in own]
            edited.rewire(readers, tensor, picture)
    for reader in index.consumers(planes):
        edited.rewire([reader.output[0]], planes, given)
    edited.node(planes).output[0] = given
    edited.remove_own()
    for tensor in _back_to_input(index, picture):
        edited.reshape(tensor, _arranged(index, tensor, _IN))
    edited.reshape(given, _arranged(index, given, _IN))
    return edited.model


def _until_read(index: GraphIndex) -> Iterator[str]:
    """Yield the input and what is made of it alone, up to the tensor that the network reads."""
    (tensor,) = index.inputs
    yield tensor
    while len(readers := index.consumers(tensor)) == 1 and readers[0].op_type in _STEPS:
        behind = index.consumers(readers[0].output[0])
        codes = readers[0].op_type == "QuantizeLinear"
        if codes and [node.op_type for node in behind] != ["DequantizeLinear"]:
            return
        tensor = readers[0].output[0]
        yield tensor


def _in_front(index: GraphIndex, edited: EditedGraph, picture: str) -> None:
    """Put a Transpose between a tensor and all that read it."""
    shape, element_type = index.shape(picture) or (), index.element_type(picture)
    readers = [node.output[0] for node in index.consumers(picture)]
    place = 0 if picture in index.inputs else edited.position(picture) + 1
    planes = f"{_PREFIX}planes"
    edited.insert(place, "Transpose", [picture], planes, perm=_IN)
    edited.state(planes, element_type, shape)
    pair = _pair(index, picture)
    if pair is not None and _read_in_integers(index, picture):
        codes, values = f"{_PREFIX}planes_quantized", f"{_PREFIX}planes_dequantized"
        edited.insert(place + 1, "QuantizeLinear", [planes, *pair], codes)
        edited.insert(place + 2, "DequantizeLinear", [codes, *pair], values)
        edited.state(codes, index.element_type(pair[1]), shape)
        edited.state(values, element_type, shape)
        planes = values
    edited.rewire(readers, picture, planes)


def _behind(index: GraphIndex, edited: EditedGraph, given: str) -> None:
    """Put a Transpose between what makes the output and the output."""
    shape, element_type = index.shape(given) or (), index.element_type(given)
    planes, pair = f"{_PREFIX}drawn", _pair(index, given)
    edited.rewire([node.output[0] for node in index.consumers(given)], given, planes)
    place = edited.position(given) + 1
    edited.node(given).output[0] = planes
    edited.state(planes, element_type, shape)
    if pair is None:
        edited.insert(place, "Transpose", [planes], given, perm=_OUT)
        return
    turned, codes = f"{_PREFIX}turned", f"{_PREFIX}turned_quantized"
    arranged = _arranged(index, given, _OUT)
    edited.insert(place, "Transpose", [planes], turned, perm=_OUT)
    edited.insert(place + 1, "QuantizeLinear", [turned, *pair], codes)
    edited.insert(place + 2, "DequantizeLinear", [codes, *pair], given)
    edited.state(turned, element_type, arranged)
    edited.state(codes, index.element_type(pair[1]), arranged)


def _pair(index: GraphIndex, tensor: str) -> Sequence[str] | None:
    """Return names of the scale and zero point of the pair that makes a tensor, if one does."""
    node = index.producer(tensor)
    return None if node is None or node.op_type != "DequantizeLinear" else node.input[1:]


def _read_in_integers(index: GraphIndex, tensor: str) -> bool:
    """Tell whether a node that reads a tensor is one of an integer graph: so are its results."""
    for reader in index.consumers(tensor):
        weight = index.producer(reader.input[1]) if len(reader.input) > 1 else None
        if weight is not None and weight.op_type == "DequantizeLinear":
            return True
        results = {node.op_type for node in index.consumers(reader.output[0])}
        if results == {"QuantizeLinear"}:
            return True
    return False


def _back_to_input(index: GraphIndex, tensor: str) -> Iterator[str]:
    """Yield a tensor and those that it is made of, up to the input."""
    yield tensor
    while (node := index.producer(tensor)) is not None:
        tensor = node.input[0]
        yield tensor


def _arranged(index: GraphIndex, tensor: str, order: Sequence[int]) -> list[int]:
    shape = index.shape(tensor)
    if shape is None or len(shape) != len(order):
        raise GraphError(f"tensor {tensor!r} is no picture of known size: {shape}")
    return [shape[axis] for axis in order]
