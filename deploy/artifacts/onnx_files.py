"""Parse ONNX files, and refuse in one line what is none, or cannot be relied on."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from calib.errors import GraphError
from calib.files import read_whole
from deploy.artifacts.onnx_problems import onnx_problems


def load_model(
    source: Path | bytes, name: str | None = None, *, functions: bool = False
) -> onnx.ModelProto:
    """Parse an ONNX file whose tensors lie in it; nothing else is asked of its graph.

    Args:
        source: the file, or its content.
        name: what to call it in an error; ``None``: by its path.
        functions: it may hold functions of its own, for the caller to inline and look into.

    Raises:
        GraphError: the file is missing, is no ONNX model, or cannot be relied on
            (deploy/artifacts/onnx_problems.py).
    """
    shown = name or (str(source) if isinstance(source, Path) else "the model")
    try:
        # The bytes: by its path, onnx would choose a text parser for some suffixes.
        content = source if isinstance(source, bytes) else read_whole(source)
        model = onnx.load_model_from_string(content)
        damage = None if all(isinstance(name, str) for name in _names(model)) else "a broken name"
        damage = damage if content else "it is empty"
    except OSError as error:
        raise GraphError(f"cannot read {shown}: {error.strerror or error}") from error
    except (DecodeError, UnicodeDecodeError) as error:
        damage = _line(error)
    if damage is not None:
        raise GraphError(
            f"{shown} is no ONNX model, it is truncated or damaged ({damage}); expected a .onnx "
            "file"
        )
    for problem in onnx_problems(model, functions=functions):
        raise GraphError(f"{shown} {problem}")
    return model


def _names(model: onnx.ModelProto) -> Iterator[str]:
    """Yield every name of a model; protobuf gives what is no UTF-8 as bytes, or not at all."""
    graph = model.graph
    yield from (graph.name, model.producer_name, model.producer_version)
    yield from (opset.domain for opset in model.opset_import)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    yield from (tensor.name for tensor in graph.initializer)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)


def read_model(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file, check it, and infer the shapes and types of all its tensors.

    Raises:
        GraphError: the file is missing or is no valid ONNX model.
    """
    model = load_model(path)
    try:
        onnx.checker.check_model(model, full_check=True)
        return onnx.shape_inference.infer_shapes(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(
            f"{path} is no ONNX model ({_line(error)}); expected a .onnx file"
        ) from error


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
