"""Raise the opset of a QDQ graph where 16-bit quantization needs it."""

import onnx

from calib.errors import GraphError

OPSET_16_BITS = 21


_IR_16_BITS = 10


_STABLE_SINCE_17 = frozenset(
    {"Conv", "LeakyRelu", "PRelu", "Relu", "Add", "Mul", "Concat", "Resize", "Reshape"}
    | {"Transpose", "DepthToSpace", "SpaceToDepth", "Identity", "Flatten", "Constant", "Cast"}
    | {"Slice", "Max", "Clip", "ConvTranspose"}
)


def raise_opset(model: onnx.ModelProto) -> None:
    """Raise a graph's opset, in place, to the first with 16-bit QuantizeLinear.

    Raises:
        GraphError: an operator of the graph may mean something else there.
    """
    foreign = {n.op_type for n in model.graph.node} - _STABLE_SINCE_17
    foreign -= {"QuantizeLinear", "DequantizeLinear"}
    if foreign:
        raise GraphError(
            f"16-bit QDQ needs opset {OPSET_16_BITS}, and {', '.join(sorted(foreign))} may have "
            "changed since the graph's own; use 8-bit activations or export with that opset"
        )
    for entry in model.opset_import:
        if entry.domain in {"", "ai.onnx"}:
            entry.version = max(entry.version, OPSET_16_BITS)
    model.ir_version = max(model.ir_version, _IR_16_BITS)
