"""Parse ONNX files, and refuse what is none in one line."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from calib.errors import GraphError


def load_model(source: Path | bytes, name: str | None = None) -> onnx.ModelProto:
    """Parse an ONNX file, and ask nothing of the graph that it holds.

    Args:
        source: the file, or its content.
        name: what to call it in an error; ``None``: by its path.

    Raises:
        GraphError: the file is missing or is no ONNX model.
    """
    shown = name or (str(source) if isinstance(source, Path) else "the model")
    try:
        if isinstance(source, bytes):
            return onnx.load_model_from_string(source)
        return onnx.load(source)
    except OSError as error:
        raise GraphError(f"cannot read {shown}: {error.strerror or error}") from error
    except DecodeError as error:
        raise GraphError(
            f"{shown} is no ONNX model, it is truncated or damaged ({_line(error)}); expected a "
            ".onnx file"
        ) from error


def read_model(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file, check it, and infer the shapes and types of all its tensors.

    Raises:
        GraphError: the file is missing or is no valid ONNX model.
    """
    model = load_model(path)
    try:
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(
            f"{path} is no ONNX model ({_line(error)}); expected a .onnx file"
        ) from error


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
