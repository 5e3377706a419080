"""Say what is wrong with a parsed ONNX file that no parser looks at, and that readers rely on.

onnx.checker asks whether a graph is one; it lets pass what only shows when a file is used: weights
that lie in other files, dimensions below 0, operator sets from the future, types that do not exist.
Nothing here reads another file, or makes an array.
"""

import math
from collections.abc import Iterator, Sequence

import onnx
from onnx import TensorProto
from onnx.defs import onnx_opset_version

_KINDS = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_MAIN_DOMAINS = ("", "ai.onnx")
_PACKED_BITS = {"UINT2": 2, "INT2": 2, "UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4}


def onnx_problems(model: onnx.ModelProto, *, functions: bool = False) -> Iterator[str]:
    """Yield what is wrong with a model, each in words that follow its name.

    Args:
        model: as it was parsed.
        functions: it may hold functions of its own, into which nobody looks here.
    """
    yield from _operator_sets(model)
    for tensor in _tensors(model.graph):
        yield from _tensor_problems(tensor)
    for node in model.graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            kind = f"{node.name!r} ({node.op_type})"
            yield f"holds a subgraph, of node {kind}; expected a plain graph"
    if model.graph.sparse_initializer:
        yield "holds sparse tensors; expected dense ones"
    if model.functions and not functions:
        yield "holds functions of its own; expected a plain graph: inline them"
    yield from _end_problems("input", model.graph.input)
    yield from _end_problems("output", model.graph.output)
    if not model.graph.output:
        yield "gives no output"


def _end_problems(kind: str, ends: Sequence[onnx.ValueInfoProto]) -> Iterator[str]:
    """Say what is wrong with the inputs or the outputs of a graph."""
    names = [end.name for end in ends]
    if len(set(names)) != len(names):
        yield f"names an {kind} twice"
    for end in ends:
        dims = [dim.dim_value for dim in end.type.tensor_type.shape.dim]
        if any(dim < 0 for dim in dims):
            yield f"has the {kind} {end.name!r} of negative size {dims}"


def _operator_sets(model: onnx.ModelProto) -> Iterator[str]:
    """Say where a model asks for operators that nobody here knows."""
    versions = [item.version for item in model.opset_import if item.domain in _MAIN_DOMAINS]
    newest = onnx_opset_version()
    if len(versions) != 1:
        yield f"imports the ai.onnx operator sets {versions}; expected one"
    elif not 1 <= versions[0] <= newest:
        yield f"uses ai.onnx operator set {versions[0]}; expected 1 to {newest}"


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _tensor_problems(tensor: onnx.TensorProto) -> Iterator[str]:
    name = f"tensor {tensor.name!r}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        yield f"keeps {name} in another file, which is not read; save it as one file"
    elif tensor.data_type not in _KINDS:
        yield f"states type {tensor.data_type} for {name}, which there is none of"
    elif tensor.HasField("segment"):
        yield f"keeps {name} in segments; expected it in one piece"
    elif any(dim < 0 for dim in tensor.dims):
        yield f"states the negative size {list(tensor.dims)} for {name}"
    elif tensor.HasField("raw_data"):
        yield from _size_problem(tensor, name)


def _size_problem(tensor: onnx.TensorProto, name: str) -> Iterator[str]:
    """Compare the bytes of a tensor with what its type and shape take; some types are packed."""
    itemsize = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    bits = _PACKED_BITS.get(TensorProto.DataType.Name(tensor.data_type), 8 * itemsize)
    needed, found = (math.prod(tensor.dims) * bits + 7) // 8, len(tensor.raw_data)
    if found != needed:
        yield (
            f"states shape {list(tensor.dims)} for {name}, which takes {needed} bytes, and holds "
            f"{found}"
        )
