"""Spell a simplified ONNX graph in one canonical way.

Two exports of the same network are equal to the byte, whichever versions and paths were at work:

- every constant is an initializer of the one node that reads it, a parameter under its state
  dict key (``body.0.rdb1.conv1.weight``), others after node and input
  (``/body/body.0/rdb1/Mul.factor``, ``/Resize.scales``);
- nodes keep their order and names, initializers follow the nodes;
- the shape of every tensor is stated, and static;
- producer, metadata and doc strings say nothing about the machine.
"""

from collections.abc import Callable, Mapping

import onnx
from onnx import numpy_helper

from calib.arrays import AnyArray
from calib.errors import GraphError
from calib.graph import GraphIndex

IR_VERSION = 8
"""That of opset 17, which older readers take."""

ConstantName = Callable[[onnx.NodeProto, int, int], str]
"""Names the constant that a node reads at a position, in an opset."""

_PARAMETERS = {("Conv", 1): "weight", ("Conv", 2): "bias", ("PRelu", 1): "weight"}


def parameter_name(node: onnx.NodeProto, position: int, opset: int) -> str:
    """Name a constant of a node that torch's TorchScript exporter made: a parameter by its key."""
    # Not the name the exporter left: torch merges equal parameters and reshapes PReLU slopes.
    if (parameter := _PARAMETERS.get((node.op_type, position))) is not None:
        return f"{_module_path(node.name)}.{parameter}"
    return operand_name(node, position, opset)


def operand_name(node: onnx.NodeProto, position: int, opset: int) -> str:
    """Name a constant after the node that reads it and what the operator calls that operand."""
    operands = onnx.defs.get_schema(node.op_type, opset).inputs
    specified = operands[min(position, len(operands) - 1)].name
    further = position - len(operands) + 1  # of the operands of a Concat, which share one name
    numbered = f"{specified}.{further}" if further > 0 else specified
    return f"{node.name}.{'factor' if node.op_type == 'Mul' else numbered}"


def normal_form(
    model: onnx.ModelProto, constant_name: ConstantName = parameter_name
) -> onnx.ModelProto:
    """Return the same graph in normal form.

    Args:
        model: of named nodes, opset set and shapes static.
        constant_name: what each constant is to be called.

    Returns:
        A new model; ``model`` stays as it was.
    """
    constants = _constants(model)
    opset = max(entry.version for entry in model.opset_import)
    nodes: list[onnx.NodeProto] = []
    initializers: dict[str, onnx.TensorProto] = {}
    for node in model.graph.node:
        if node.op_type == "Constant":
            continue
        named = onnx.NodeProto()
        named.CopyFrom(node)
        named.doc_string = ""
        del named.metadata_props[:]
        for index, name in enumerate(node.input):
            if name in constants:
                own = constant_name(node, index, opset)
                named.input[index] = own
                initializers[own] = numpy_helper.from_array(constants[name], own)
        nodes.append(named)
    graph = onnx.helper.make_graph(
        nodes,
        "generator",
        [_plain_value(value) for value in model.graph.input if value.name not in constants],
        [_plain_value(value) for value in model.graph.output],
        list(initializers.values()),
    )
    normal = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=model.ir_version,
        producer_name="esrdeploy",
    )
    return onnx.shape_inference.infer_shapes(normal, check_type=True, strict_mode=True)


def _constants(model: onnx.ModelProto) -> dict[str, AnyArray]:
    index = GraphIndex(model)
    names = [*index.initializers]
    names += [node.output[0] for node in model.graph.node if node.op_type == "Constant"]
    return {name: value for name in names if (value := index.constant(name)) is not None}


def _module_path(node_name: str) -> str:
    """Return the module that torch traced to a node.

    Children of an nn.Sequential repeat its name:

    >>> _module_path("/body/body.0/rdb1/conv1/Conv")
    'body.0.rdb1.conv1'
    """
    path: list[str] = []
    for part in node_name.split("/")[1:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)


def _plain_value(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    tensor = value.type.tensor_type
    shape = [dim.dim_value for dim in tensor.shape.dim]
    return onnx.helper.make_tensor_value_info(value.name, tensor.elem_type, shape)


def require_sound(model: onnx.ModelProto, parameters: Mapping[str, AnyArray]) -> None:
    """Check that a model is valid and static and holds every parameter bit for bit.

    Args:
        model: in normal form.
        parameters: the checkpoint's tensors by state dict key.

    Raises:
        GraphError: a shape is not static, or a parameter is missing or changed.
    """
    onnx.checker.check_model(model, full_check=True)
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    stated = {value.name: value.type.tensor_type.shape.dim for value in values}
    for name in [name for node in model.graph.node for name in node.output]:
        if not all(dim.dim_value > 0 for dim in stated.get(name, [])) or name not in stated:
            raise GraphError(
                f"tensor {name!r} has no static shape; expected every shape to be known"
            )
    found = _constants(model)
    for name, parameter in parameters.items():
        if name not in found or found[name].tobytes() != parameter.tobytes():
            raise GraphError(f"simplification changed the weight {name!r}; expected it bit for bit")
