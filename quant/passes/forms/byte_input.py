"""Let a graph take a picture of bytes, 0 to 255, where it took float in [0, 1].

In a file of unsigned codes the bytes are codes already, of scale 1/255 and zero point 0: whatever
is quantized so is not quantized at all, and a chip takes the bytes without a multiplication in
float:

    input -> Q(1/255, 0) -> DQ(1/255, 0) -> ...      becomes      bytes -> DQ(1/255, 0) -> ...
    input -> ...                                                  bytes -> DQ(1/255, 0) -> ...

Elsewhere they are cast, and the division goes into the weights of the convolutions that read them:

    conv(W, x / 255) = conv(W / 255, x)

In float32 alone: in float16 a weight below 0.016 would leave its normal numbers, so there, and
where something other than a convolution reads the picture, it is multiplied by 1/255. W is found
again by W / 255 * 255 and, where that rounds to a neighbour, by what it is off in units in the last
place, which the metadata of the file keep.
"""

import json
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto

from calib.arrays import AnyArray, Float32
from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.passes.forms.edited import EditedGraph

ROUNDED_KEY = "esrdeploy.divided_weights"
"""Key in the metadata of what divided weights are off, when they are multiplied again."""

_PREFIX = "bytes/"
_BYTE = np.float32(1 / 255)
_WHITE = np.float32(255)
_MOVES = frozenset(["Reshape", "SpaceToDepth", "Transpose"])
_UNSIGNED = (np.uint8, np.uint16)


def bytes_taken(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that takes bytes; the model is not changed."""
    index, edited = GraphIndex(model), EditedGraph(model, _PREFIX)
    (picture,) = index.inputs
    if any(_codes_type(index, node) in _UNSIGNED for node in index.nodes):
        _take_codes(index, edited, picture)
    else:
        _take_values(index, edited, picture)
    edited.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    return edited.model


def floats_taken(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph of which :func:`bytes_taken` made one that takes bytes.

    Raises:
        GraphError: what its metadata say of its weights is not what is written there.
    """
    index, edited = GraphIndex(model), EditedGraph(model, _PREFIX)
    (picture,) = index.inputs
    for node in index.nodes:
        takes_codes = node.op_type == "DequantizeLinear" and node.input[0] == picture
        if takes_codes and not edited.is_own(node.name):
            _quantize_again(index, edited, node)
    cast = f"{_PREFIX}cast"
    off = _off_by(model)
    for weight in _folded_weights(index, cast) if index.has_tensor(cast) else ():
        edited.replace_constant(weight, _multiplied(index.initializer(weight), off.pop(weight, {})))
    if off:
        raise GraphError(f"its metadata speak of weights {sorted(off)} that nothing divided")
    for node in index.nodes:
        if edited.is_own(node.name):
            source = _source(index, node, edited)
            readers = [r for r in index.consumers(node.output[0]) if not edited.is_own(r.name)]
            edited.rewire([r.output[0] for r in readers], node.output[0], source)
    edited.remove_own()
    for item in [item for item in edited.model.metadata_props if item.key == ROUNDED_KEY]:
        edited.model.metadata_props.remove(item)
    edited.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return edited.model


def _source(index: GraphIndex, node: onnx.NodeProto, edited: EditedGraph) -> str:
    """Return the tensor of the graph itself that a node of ours stands behind."""
    source = node.input[0]
    while (producer := index.producer(source)) is not None and edited.is_own(producer.name):
        source = producer.input[0]
    return source


def _codes_type(index: GraphIndex, node: onnx.NodeProto) -> object:
    """Return the type of an activation's codes, of a QuantizeLinear."""
    zero_point = index.constant(node.input[2]) if node.op_type == "QuantizeLinear" else None
    return None if zero_point is None else zero_point.dtype.type


def _is_of_bytes(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Tell whether the codes of a QuantizeLinear are the bytes of a picture."""
    if _codes_type(index, node) is not np.uint8:
        return False
    scale, zero_point = index.constant(node.input[1]), index.constant(node.input[2])
    return scale is not None and scale.size == 1 and bool(scale == _BYTE and zero_point == 0)


def _take_codes(index: GraphIndex, edited: EditedGraph, picture: str) -> None:
    """Let bytes be codes: of the pairs that have their scale, or of a DequantizeLinear."""
    others = []
    for node in index.consumers(picture):
        pairs = index.consumers(node.output[0])
        if _is_of_bytes(index, node) and [r.op_type for r in pairs] == ["DequantizeLinear"]:
            edited.rewire([pairs[0].output[0]], node.output[0], picture)
            del edited.graph.node[edited.position(node.output[0])]
            _unstate(edited, node.output[0])
        else:
            others.append(node.output[0])
    if not others:
        return
    values = f"{_PREFIX}values"
    scale = edited.constant("scale", np.array(_BYTE))
    zero_point = edited.constant("zero_point", np.array(0, np.uint8))
    edited.rewire(others, picture, values)
    edited.insert(0, "DequantizeLinear", [picture, scale, zero_point], values)
    edited.state(values, TensorProto.FLOAT, index.shape(picture) or ())


def _take_values(index: GraphIndex, edited: EditedGraph, picture: str) -> None:
    """Cast bytes, and divide them in weights or by themselves."""
    shape = index.shape(picture) or ()
    cast, scaled = f"{_PREFIX}cast", f"{_PREFIX}values"
    divided: list[str] = []
    whole: list[str] = []
    off: dict[str, dict[str, int]] = {}
    for node in index.consumers(picture):
        if node.op_type == "Cast":
            _divide_behind(index, edited, node)
            continue
        weight = _weight_behind(index, node, picture)
        value = None if weight is None else index.initializer(weight)
        if weight is None or value is None:
            whole.append(node.output[0])
            continue
        divided.append(node.output[0])
        made = (value / _WHITE).astype(np.float32)
        edited.replace_constant(weight, made)
        off[weight] = _units_off(value, made)
    edited.rewire(divided, picture, cast)
    if whole:
        edited.rewire(whole, picture, scaled)
        factor = edited.constant("factor", np.array(_BYTE))
        edited.insert(0, "Mul", [cast, factor], scaled)
        edited.state(scaled, TensorProto.FLOAT, shape)
    if divided or whole:
        edited.insert(0, "Cast", [picture], cast, to=TensorProto.FLOAT)
        edited.state(cast, TensorProto.FLOAT, shape)
    if any(off.values()):
        stated = json.dumps({name: units for name, units in off.items() if units}, sort_keys=True)
        edited.model.metadata_props.add(key=ROUNDED_KEY, value=stated)


def _divide_behind(index: GraphIndex, edited: EditedGraph, cast: onnx.NodeProto) -> None:
    """Multiply what a Cast of the graph itself makes of the bytes by 1/255, in its type."""
    made = cast.output[0]
    element_type = index.element_type(made)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(element_type)
    scaled = f"{_PREFIX}{made}"
    factor = edited.constant(f"{made}_factor", np.array(_BYTE, dtype))
    edited.rewire([node.output[0] for node in index.consumers(made)], made, scaled)
    edited.insert(edited.position(made) + 1, "Mul", [made, factor], scaled)
    edited.state(scaled, element_type, index.shape(made) or ())


def _weight_behind(index: GraphIndex, node: onnx.NodeProto, picture: str) -> str | None:
    """Return the float32 weight of the one convolution that reads a tensor, moved or not."""
    tensor = picture
    while node.op_type in _MOVES and len(index.consumers(node.output[0])) == 1:
        tensor, node = node.output[0], index.consumers(node.output[0])[0]
    if node.op_type != "Conv" or node.input[0] != tensor:
        return None
    weight = node.input[1]
    value = index.initializer(weight)
    alone = len(index.consumers(weight)) == 1
    return weight if value is not None and value.dtype == np.float32 and alone else None


def _folded_weights(index: GraphIndex, cast: str) -> Iterator[str]:
    for node in index.consumers(cast):
        weight = _weight_behind(index, node, cast)
        if weight is not None:
            yield weight


def _quantize_again(index: GraphIndex, edited: EditedGraph, node: onnx.NodeProto) -> None:
    """Put the QuantizeLinear back in front of a pair's DequantizeLinear that reads bytes."""
    picture, scale, zero_point = node.input
    codes = f"{node.output[0].removesuffix('_dequantized')}_quantized"
    name = f"{codes.removesuffix('_quantized')}_QuantizeLinear"
    made = onnx.helper.make_node("QuantizeLinear", [picture, scale, zero_point], [codes], name)
    edited.rewire([node.output[0]], picture, codes)
    edited.graph.node.insert(edited.position(node.output[0]), made)
    stated = [value.name for value in edited.graph.value_info]
    if node.output[0] in stated:
        value = onnx.helper.make_tensor_value_info(
            codes, TensorProto.UINT8, index.shape(picture) or ()
        )
        edited.graph.value_info.insert(stated.index(node.output[0]), value)


def _unstate(edited: EditedGraph, tensor: str) -> None:
    for value in [value for value in edited.graph.value_info if value.name == tensor]:
        edited.graph.value_info.remove(value)


def _bits(value: Float32) -> AnyArray:
    """Return float32 as integers in the order of the numbers; -0 is -1."""
    whole = np.ascontiguousarray(value).view(np.int32).astype(np.int64)
    return np.where(whole < 0, -1 - (whole & 0x7FFFFFFF), whole)


def _units_off(value: Float32, divided: Float32) -> dict[str, int]:
    """Return by how many units in the last place each weight is missed, by its flat position."""
    off = (_bits(value) - _bits(divided * _WHITE)).reshape(-1)
    return {str(place): int(off[place]) for place in np.flatnonzero(off)}


def _multiplied(divided: AnyArray | None, off: dict[str, int]) -> Float32:
    """Return the weights that were divided."""
    assert divided is not None  # _weight_behind looked
    bits = _bits((divided * _WHITE).astype(np.float32)).reshape(-1)
    for place, units in off.items():
        bits[int(place)] += units
    signed = np.where(bits < 0, (-1 - bits) | 0x80000000, bits).astype(np.uint32)
    found: Float32 = signed.view(np.float32).reshape(divided.shape)
    return found


def _off_by(model: onnx.ModelProto) -> dict[str, dict[str, int]]:
    """Return what the metadata say of divided weights.

    Raises:
        GraphError: they say something else there.
    """
    for item in model.metadata_props:
        if item.key == ROUNDED_KEY:
            try:
                stated = json.loads(item.value)
                return {
                    str(name): {str(int(place)): int(units) for place, units in off.items()}
                    for name, off in stated.items()
                }
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                raise GraphError(f"its metadata {ROUNDED_KEY} cannot be read: {error}") from error
    return {}
