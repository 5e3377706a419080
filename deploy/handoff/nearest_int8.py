"""Bound how near to float any execution of an int8 model can come, picture by picture.

Whoever runs a convolution in 8 bits has its operands in 8 bits: the weights of the file, and the
activations it reads on their grid. Every other QDQ pair may be skipped honestly: an engine that
fuses an activation or adds in fp16 loses less than QDQ reference semantics do. So the file without
these pairs makes the least error of all honest executions. Another engine rounds otherwise where
values lie between two steps, and meets another error of the same size; it is given
the same margin as downwards (deploy/handoff/acceptance.py), here half of the squared error.

animevideov3, three pictures, in dB: reference semantics 43.5 to 44.6 (qnn), operands alone 44.7 to
46.9; with 16-bit activations (qnn-w8a16) both 48.3 to 52.4. onnxruntime's int8 kernels lie within
0.02 of the reference where nothing saturates; another float engine lies at 140, fp16 at 90.

The error of a file that is float but for a few convolutions is small, and so is this one: the bound
then lies where fp16 does, and says so.
"""

from collections.abc import Mapping
from dataclasses import replace

import onnx

from deploy.build.quantize import QuantizedModel
from quant.qdq.emit import emit_qdq
from quant.rounding.recorded_codes import stored_weights


def operands_alone(int8: QuantizedModel) -> onnx.ModelProto:
    """Return the QDQ graph in which nothing is rounded but the operands of int8 convolutions."""
    convolutions = {weight.node for weight in int8.plan.weights.values()}
    convolutions |= {*int8.plan.zero_points_apart}  # which hand on what they read
    edges = {}
    for name, edge in int8.plan.edges.items():
        readers = tuple(reader for reader in edge.readers if reader in convolutions)
        if readers:
            edges[name] = replace(edge, readers=readers, after=None)
    plan = replace(int8.plan, edges=edges, constants={}, integer_concats=())
    weights = stored_weights(int8.prepared, int8.model)
    return emit_qdq(int8.prepared.under(plan), weights)


def operand_models(int8_models: Mapping[str, QuantizedModel]) -> dict[str, onnx.ModelProto]:
    """Return those graphs by profile, of the int8 models that round more than operands."""
    return {
        profile: operands_alone(entry)
        for profile, entry in int8_models.items()
        if not rounds_operands_alone(entry)
    }


def rounds_operands_alone(int8: QuantizedModel) -> bool:
    """Return whether an int8 model computes to the bit what its operands alone give.

    So does a target that quantizes nothing but what convolutions read, as ``tensorrt`` does. What a
    Concat reads on the very grid that its output has is rounded twice to the same codes.
    """
    plan = int8.plan
    if plan.constants or plan.integer_concats:
        return False
    convolutions = {weight.node for weight in plan.weights.values()}
    grids = {edge.tensor: (edge.dtype, edge.scale, edge.zero_point) for edge in plan.edges.values()}
    concats = {
        node.name: grids.get(node.output[0])
        for node in int8.prepared.model.graph.node
        if node.op_type == "Concat"
    }
    return all(
        edge.after is None
        and all(
            reader in convolutions or concats.get(reader) == grids[edge.tensor]
            for reader in edge.readers
        )
        for edge in plan.edges.values()
    )
