"""Raise the opset of a QDQ graph where its quantization needs it."""

import numpy as np
import onnx
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import QDQ_PAIR

OPSET_16_BITS = 21
"""The first with 16-bit QuantizeLinear."""
OPSET_HALF_SCALES = 19
"""The first whose QuantizeLinear and DequantizeLinear take fp16 data and scales."""

_IR_VERSIONS = {OPSET_16_BITS: 10, OPSET_HALF_SCALES: 9}
_NEEDED_BY = {OPSET_16_BITS: "16-bit QDQ", OPSET_HALF_SCALES: "QDQ of fp16 scales"}
_INSTEAD = {
    OPSET_16_BITS: "use 8-bit activations",
    OPSET_HALF_SCALES: "build for a target that computes in float32, such as tensorrt-10",
}

# What opsets 18 to 21 changed about these is further types, and attributes and operands that may
# be left out; a Split has to state its sizes.
_WIDENED_SINCE_17 = frozenset(
    {"Resize", "Reshape", "Transpose", "Identity", "Flatten", "Constant", "Cast", "Pad", "Split"}
    | {"Squeeze", "Unsqueeze", "AveragePool", "LpPool", "ScatterElements", "ScatterND", "Shape"}
    | {"CastLike", "ConstantOfShape", "Equal", "IsInf", "IsNaN", "Size"}
)
_AXES_SINCE_18 = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSumSquare"}
)
"""Reductions whose axes became an operand with opset 18."""
_MODES_SINCE_20 = {"GridSample": {b"bilinear": b"linear", b"bicubic": b"cubic"}}
"""Operators whose ``mode`` goes by other words since opset 20."""


def raise_opset(model: onnx.ModelProto, opset: int) -> None:
    """Raise a graph's opset, in place, to one at least.

    Args:
        model: of opset 17 or later.
        opset: :data:`OPSET_16_BITS` or :data:`OPSET_HALF_SCALES`.

    Raises:
        GraphError: an operator of the graph may mean something else there.
    """
    foreign = {n.op_type for n in model.graph.node if not _means_the_same(n, opset)}
    foreign -= QDQ_PAIR
    if foreign:
        raise GraphError(
            f"{_NEEDED_BY[opset]} needs opset {opset}, and {', '.join(sorted(foreign))} may have "
            f"changed since the graph's own; {_INSTEAD[opset]}, or export with that opset"
        )
    for node in model.graph.node:
        if node.op_type in _AXES_SINCE_18:
            model.graph.initializer.extend(_axes_as_operand(node))
        if opset >= 20 and (modes := _MODES_SINCE_20.get(node.op_type)) is not None:
            for item in (one for one in node.attribute if one.name == "mode"):
                item.s = modes.get(item.s, item.s)
    for entry in model.opset_import:
        if entry.domain in {"", "ai.onnx"}:
            entry.version = max(entry.version, opset)
    model.ir_version = max(model.ir_version, _IR_VERSIONS[opset])


def _means_the_same(node: onnx.NodeProto, opset: int) -> bool:
    """Tell whether a node of opset 17 is one of another opset too, but for its axes."""
    name = node.op_type
    if name == "Split":
        return len(node.input) > 1
    if name in _WIDENED_SINCE_17 | _AXES_SINCE_18 | _MODES_SINCE_20.keys():
        return True
    versions = (17, opset)
    if not all(onnx.defs.has(name, version) for version in versions):
        return False
    since = {onnx.defs.get_schema(name, version).since_version for version in versions}
    return len(since) == 1


def _axes_as_operand(node: onnx.NodeProto) -> list[onnx.TensorProto]:
    """Let a reduction, in place, read its axes as a constant."""
    axes = next((item for item in node.attribute if item.name == "axes"), None)
    if axes is None:
        return []
    name = f"{node.name}.axes"
    constant = numpy_helper.from_array(np.array(axes.ints, np.int64), name)
    node.attribute.remove(axes)
    node.input.append(name)
    return [constant]
