"""Run ONNX models with OpenVINO's CPU plugin: the one module that imports it.

It also writes and runs OpenVINO's IR, the files ``.xml`` and ``.bin``.

OpenVINO is an optional extra. It reads QDQ as FakeQuantize operations and runs the convolutions
between them as integers. What is not configured is what it really does with the file on this
machine, reduced float precision included where the processor has it.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from calib.arrays import AnyArray
from calib.errors import GraphError, UsageError
from calib.extras import install_command
from calib.form import Form
from calib.graph import form_of
from deploy.runtime.runner import Runner, in_batches, in_form_of_file

try:
    import openvino
except ImportError as error:
    raise UsageError(
        f"the backend openvino is not installed; run: {install_command('openvino')}"
    ) from error

OPENVINO_VERSION = version("openvino")

# OpenVINO names what it makes itself after a counter of the whole process.
_COUNTED = re.compile(r"[A-Za-z]+_\d+")


def openvino_runner(model: onnx.ModelProto, config: Mapping[str, str] | None = None) -> Runner:
    """Compile a model for the CPU and return the function it computes.

    Args:
        model: with one input and one output, both pictures in the form that its metadata state.
        config: properties of the compilation that are not the defaults.

    Raises:
        GraphError: OpenVINO refuses the model.
    """
    with _refusals("load the graph"):
        network = _core().read_model(model.SerializeToString())
        compiled = _core().compile_model(network, "CPU", dict(config or {}))
    return _runner(compiled, form_of(model))


def write_ir(model: onnx.ModelProto, xml: Path) -> None:
    """Write the IR of a model as ``xml`` and the ``.bin`` beside it, weights as they are.

    The same model gives the same bytes every time.

    Raises:
        GraphError: OpenVINO refuses the model.
    """
    with _refusals("convert the graph"):
        converted = _core().read_model(model.SerializeToString(deterministic=True))
    for position, operation in enumerate(converted.get_ordered_ops()):
        if _COUNTED.fullmatch(operation.get_friendly_name()):
            operation.set_friendly_name(f"{operation.get_type_name()}.{position}")
    openvino.save_model(converted, str(xml), compress_to_fp16=False)


def ir_runner(xml: Path, form: Form) -> Runner:
    """Load an IR for the CPU, with what is not quantized computed in float32.

    Args:
        xml: the IR.
        form: in which it takes and gives pictures.

    Raises:
        GraphError: OpenVINO refuses the files.
    """
    with _refusals(f"load {xml.name}"):
        compiled = _core().compile_model(str(xml), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return _runner(compiled, form)


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # its errors share no narrower base class
        reason = str(error).strip().splitlines()[-1]
        raise GraphError(f"OpenVINO cannot {what}: {reason}") from error


def _runner(compiled: "openvino.CompiledModel", form: Form) -> Runner:
    def compute(given: AnyArray) -> AnyArray:
        # A copy: the next inference writes into the same buffer.
        return np.array(compiled(given)[0])

    return in_batches(in_form_of_file(compute, form), compiled.input(0).shape[0])


@cache
def _core() -> "openvino.Core":
    return openvino.Core()
