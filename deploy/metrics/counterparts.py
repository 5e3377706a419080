"""Find what in an int8 file stands for each tensor of the float graph."""

import onnx

from calib.errors import GraphError
from calib.graph import GraphIndex, rewritten
from quant.passes.prepared import PreparedGraph


def counterpart(int8_index: GraphIndex, tensor: str) -> str:
    """Return the tensor of an int8 graph whose values stand for a tensor of the float graph.

    Found by wiring: the output of the DequantizeLinear behind the QuantizeLinear that reads the
    tensor, or of the one that reads the tensor itself where that holds integers; or the tensor
    of that name where no QDQ pair stands on it, or where the pair makes it.

    Raises:
        GraphError: the int8 graph has no tensor of that name.
    """
    if not int8_index.has_tensor(tensor):
        raise GraphError(
            f"the int8 model has no tensor {tensor!r}, the float model has: they are not of one "
            "network; build again"
        )
    for reader in int8_index.consumers(tensor):
        if reader.op_type == "DequantizeLinear":
            return reader.output[0]
        if reader.op_type != "QuantizeLinear":
            continue
        for restorer in int8_index.consumers(reader.output[0]):
            if restorer.op_type == "DequantizeLinear":
                return restorer.output[0]
    return tensor


def with_values(
    prepared: PreparedGraph, model: onnx.ModelProto
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return a QDQ graph in which every quantized tensor has its dequantized value too.

    Integers of zero points apart have no DequantizeLinear that restores them: their values are
    joined beside them, by names that come back with the tensors they are of.
    """
    restored = {n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    completed = onnx.ModelProto()
    completed.CopyFrom(model)
    del completed.graph.node[:]
    for node in model.graph.node:
        completed.graph.node.append(node)
        if node.op_type == "QuantizeLinear" and node.output[0] not in restored:
            completed.graph.node.append(
                onnx.helper.make_node(
                    "DequantizeLinear",
                    [node.output[0], *node.input[1:]],
                    [f"{node.output[0]}_value"],
                    f"{node.name}_value",
                )
            )
    return _with_joined_values(prepared, completed)


def _with_joined_values(
    prepared: PreparedGraph, model: onnx.ModelProto
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Add a Concat of values beside each one of integers of zero points apart."""
    index = GraphIndex(model)
    nodes: list[onnx.NodeProto] = []
    joined: dict[str, str] = {}
    for node in index.nodes:
        nodes.append(node)
        apart = node.name in prepared.plan.zero_points_apart
        restored = [_restored(index, name) for name in node.input] if apart else []
        if restored and all(restored):  # else another file, in float
            values = onnx.NodeProto()
            values.CopyFrom(node)
            values.input[:] = restored
            values.output[0] = joined[node.output[0]] = f"{node.output[0]}_value"
            values.name = f"{node.name}_value"
            nodes.append(values)
    return rewritten(model, nodes, model.graph.initializer), joined


def _restored(index: GraphIndex, codes: str) -> str:
    """Return the values of integers that a Concat reads, before they are padded; or nothing."""
    maker = index.producer(codes)
    if maker is not None and maker.op_type == "Pad":
        codes = maker.input[0]
    restorers = (n for n in index.consumers(codes) if n.op_type == "DequantizeLinear")
    return next((node.output[0] for node in restorers), "")
