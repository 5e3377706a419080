"""Say which nodes of a graph a target's compiler takes, by the vendor's own list of operators.

Of the lists stand here the operators that a network for pictures may have, and those that the
vendor says are not taken. Where a vendor has no list, what our own builds are made of is known to
run. Of everything else it is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import onnx

from quant.targets import TargetProfile

Answer = Literal["taken", "not taken", "not known"]

_OURS = frozenset(
    {"Add", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvTranspose", "DepthToSpace"}
    | {"DequantizeLinear", "LeakyRelu", "Max", "Mul", "PRelu", "QuantizeLinear", "Relu", "Reshape"}
    | {"Resize", "Slice", "Transpose"}
)
_OF_QNN = frozenset(
    {"Abs", "Div", "Einsum", "Elu", "Exp", "Expand", "Flatten", "Floor", "Gather", "Gelu", "Gemm"}
    | {"GlobalAveragePool", "GroupNormalization", "HardSigmoid", "HardSwish", "Identity"}
    | {"InstanceNormalization", "LayerNormalization", "Log", "MatMul", "MaxPool", "Mean", "Min"}
    | {"AveragePool", "BatchNormalization", "Neg", "Pad", "Pow", "Reciprocal", "ReduceMax"}
    | {"ReduceMean", "ReduceMin", "ReduceSum", "RMSNormalization", "Sigmoid", "Softmax", "Softplus"}
    | {"SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "Unsqueeze"}
    | {"Upsample", "Where"}
)
_OF_TENSORRT = _OF_QNN - {
    *("Gelu", "GroupNormalization", "HardSwish", "LayerNormalization"),
    *("Reciprocal", "RMSNormalization"),
}


@dataclass(frozen=True)
class OperatorList:
    """What is known of the operators that a compiler takes.

    Attributes:
        source: where that stands.
        taken: operators of the standard that it takes.
        refused: operators that the source says it does not take.
    """

    source: str
    taken: frozenset[str]
    refused: frozenset[str] = field(default_factory=frozenset)

    def answer(self, node: onnx.NodeProto) -> Answer:
        """Tell whether the compiler takes a node's operator."""
        if node.domain not in {"", "ai.onnx"}:
            return "not known"
        if node.op_type in self.taken:
            return "taken"
        return "not taken" if node.op_type in self.refused else "not known"


_QNN = OperatorList(
    "operators that onnxruntime-qnn lists (docs/execution_providers/QNN-ExecutionProvider.md)",
    _OURS | _OF_QNN,
    frozenset({"If", "Loop"}),
)
_TENSORRT = OperatorList(
    "names of operators that onnx-tensorrt lists in docs/operators.md, which says it is of "
    "TensorRT 8.4; versions, types and shapes are not looked at",
    _OURS | _OF_TENSORRT,
    frozenset({"QLinearConv", "ConvInteger", "MatMulInteger"}),
)
OPERATORS: Mapping[str, OperatorList] = {
    "ort": OperatorList(
        "operators that esrdeploy's builds run with in onnxruntime", _OURS | {"Pad"}
    ),
    "openvino": OperatorList("operators that esrdeploy's builds run with in OpenVINO", _OURS),
    "tensorrt": _TENSORRT,
    "tensorrt-10": _TENSORRT,
    "qnn": _QNN,
    "qnn-w8a16": _QNN,
}
"""By target profile. Limits on attributes, types and shapes that the lists name are not looked at,
but for what quant/qdq/rules.py holds a QDQ file against."""


@dataclass(frozen=True)
class NodeAnswer:
    """What is known of one node.

    Attributes:
        node: its name.
        operator: its operator.
        answer: whether the target takes it.
    """

    node: str
    operator: str
    answer: Answer


def supported(model: onnx.ModelProto, profile: TargetProfile) -> tuple[NodeAnswer, ...]:
    """Return what is known of every node of a graph, in its order."""
    known = OPERATORS[profile.name]
    return tuple(
        NodeAnswer(node.name or node.output[0], node.op_type, known.answer(node))
        for node in model.graph.node
    )
