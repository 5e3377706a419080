"""An ONNX model in, OpenVINO's IR out; and an IR in, the function that OpenVINO computes out."""

import re
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calib.errors import UsageError, VerificationError
from deploy.artifacts import serialize
from deploy.parity import Runner

# OpenVINO names what it makes itself after a counter of the whole process.
_COUNTED = re.compile(r"[A-Za-z]+_\d+")


def write_ir(model: onnx.ModelProto, xml: Path) -> None:
    """Write the IR of a model as ``xml`` and the ``.bin`` beside it, weights as they are.

    Raises:
        UsageError: OpenVINO is not installed.
        VerificationError: OpenVINO refuses the model.
    """
    try:
        import openvino  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UsageError(
            "OpenVINO's IR is made with OpenVINO, which is not installed: "
            "pip install 'esrdeploy[openvino]'"
        ) from error
    try:
        converted = openvino.Core().read_model(serialize(model))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise VerificationError(f"OpenVINO cannot convert the model: {reason}") from error
    for position, operation in enumerate(converted.get_ordered_ops()):
        if _COUNTED.fullmatch(operation.get_friendly_name()):
            operation.set_friendly_name(f"{operation.get_type_name()}.{position}")
    openvino.save_model(converted, str(xml), compress_to_fp16=False)


def ir_runner(xml: Path) -> Runner:
    """Load an IR for the CPU, float parts in float32.

    Raises:
        ImportError: OpenVINO is not installed.
        VerificationError: OpenVINO refuses the files.
    """
    import openvino  # noqa: PLC0415  # an extra

    try:
        compiled = openvino.Core().compile_model(
            str(xml), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise VerificationError(f"OpenVINO cannot load {xml.name}: {reason}") from error

    def run(network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = np.array(compiled(network_input)[0], np.float32)
        return found

    return run
