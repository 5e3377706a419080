"""Parse ONNX files, and refuse what is none in one line."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from calib.errors import GraphError


def read_model(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file and infer the shapes and types of all its tensors.

    Raises:
        GraphError: the file is missing or is no ONNX model.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model)
    except OSError as error:
        raise GraphError(f"cannot read {path}: {error.strerror or error}") from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(f"{path} is no ONNX model ({reason}); expected a .onnx file") from error
