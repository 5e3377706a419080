"""Type a QDQ graph strongly: fp16 between one cast at either end, int8 behind fp16 scales.

A strongly typed compiler computes every layer in the type that the graph states, and casts nothing
by itself. Of a float32 QDQ graph becomes

    input (float32) -> Cast -> Q -> DQ -> Conv -> LeakyRelu -> ... -> Cast -> output (float32)

with the codes, zero points, nodes and names that it has. Scales and all constants that are no
codes become fp16; a Resize keeps its factors in float32. A PRelu of one slope for all channels
is written as the LeakyRelu that it is, which TensorRT runs in the kernel of the convolution before
it, as it is not known to run a PRelu (NVIDIA/TensorRT issues 2134, 2162). Sources: ONNX
QuantizeLinear and DequantizeLinear of opset 19, whose scale and data have one type; onnx-tensorrt,
where a Conv, an Add or a Concat of two float types is an error.
"""

import numpy as np
import onnx

from calib.errors import GraphError
from calib.graph import QDQ_PAIR, GraphIndex
from quant.fp16.convert import all_half
from quant.numerics.half import held_by_half
from quant.qdq.opset import OPSET_HALF_SCALES, raise_opset


def strongly_typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 QDQ graph as one that computes in fp16; ``model`` is left as it is.

    Args:
        model: with scales that fp16 holds exactly.

    Raises:
        GraphError: it has another scale, or an operator that means something else at opset 19.
    """
    raised = onnx.ModelProto()
    raised.CopyFrom(model)
    raise_opset(raised, OPSET_HALF_SCALES)
    index = GraphIndex(raised)
    _require_held(index)
    stated = {info.name for info in raised.graph.value_info}
    constant = {
        node.output[0]
        for node in index.nodes
        if node.op_type == "DequantizeLinear" and index.is_constant(node.input[0])
    }
    alphas = {node.name: alpha for node in index.nodes if (alpha := _only_slope(index, node))}
    for node in raised.graph.node:
        if node.name in alphas:
            node.op_type = "LeakyRelu"
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("alpha", alphas[node.name]))
    typed = all_half(raised)
    kept = [i for i in typed.graph.value_info if i.name in stated or i.name not in constant]
    del typed.graph.value_info[:]
    typed.graph.value_info.extend(kept)
    return typed


def _require_held(index: GraphIndex) -> None:
    for node in index.nodes:
        if node.op_type not in QDQ_PAIR:
            continue
        scale = index.constant(node.input[1])
        if scale is None or not held_by_half(scale):
            raise GraphError(
                f"the scale of {node.name!r} is none that fp16 holds exactly; choose scales for "
                "fp16 before codes (quant/numerics/half.py)"
            )


def _only_slope(index: GraphIndex, node: onnx.NodeProto) -> float | None:
    """Return the slope of a PRelu that has but one, not 0, as fp16 holds it."""
    slopes = index.constant(node.input[1]) if node.op_type == "PRelu" else None
    if slopes is None or not slopes.size or np.any(slopes != slopes.flat[0]):
        return None
    return float(np.float16(slopes.flat[0]))
