"""Run ONNX models with OpenVINO's CPU plugin: the one module that imports it.

It also writes and runs OpenVINO's IR, the files ``.xml`` and ``.bin``.

OpenVINO is an optional extra. It reads QDQ as FakeQuantize operations and runs the convolutions
between them as integers. What is not configured is what it really does with the file on this
machine, reduced float precision included where the processor has it.
"""

import io
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from calib.arrays import AnyArray
from calib.digest import canonical_json, sha256_bytes
from calib.errors import GraphError, UsageError
from calib.extras import install_command
from calib.form import Form
from calib.graph import form_of
from deploy.runtime.cpu import this_machine
from deploy.runtime.kept_compilations import find_compiled, keep_compiled
from deploy.runtime.runner import Runner, in_batches, in_form_of_file

try:
    import openvino
except ImportError as error:
    raise UsageError(
        f"the backend openvino is not installed; run: {install_command('openvino')}"
    ) from error

OPENVINO_VERSION = version("openvino")

_KEPT_FROM_S = 0.5
"""What compiles faster is not worth a file."""

# OpenVINO names what it makes itself after a counter of the whole process.
_COUNTED = re.compile(r"[A-Za-z]+_\d+")


def openvino_runner(
    model: onnx.ModelProto,
    config: Mapping[str, str] | None = None,
    kept: Path | None = None,
) -> Runner:
    """Compile a model for the CPU and return the function it computes.

    Args:
        model: with one input and one output, both pictures in the form that its metadata state.
        config: properties of the compilation that are not the defaults.
        kept: folder of compilations, where this one is looked for and, if it takes long, kept;
            ``None`` compiles.

    Raises:
        GraphError: OpenVINO refuses the model.
    """
    content, settings = model.SerializeToString(deterministic=True), dict(config or {})
    with _refusals("load the graph"):
        if kept is None:
            compiled = _compiled(content, settings)
        else:
            compiled = _kept_or_compiled(content, settings, kept)
    return _runner(compiled, form_of(model))


def _compiled(content: bytes, settings: dict[str, str]) -> "openvino.CompiledModel":
    return _core().compile_model(_core().read_model(content), "CPU", settings)


def _kept_or_compiled(
    content: bytes, settings: dict[str, str], kept: Path
) -> "openvino.CompiledModel":
    """Return a model as it was compiled before, else compile it; what takes long is kept."""
    made_from = canonical_json([settings, OPENVINO_VERSION, str(this_machine())])
    name = sha256_bytes(content + made_from)
    compiled = _imported(find_compiled(kept, name), settings)
    if compiled is None:
        began = time.perf_counter()
        compiled = _compiled(content, settings)
        if time.perf_counter() - began > _KEPT_FROM_S:
            keep_compiled(kept, name, compiled.export_model().getvalue())
    return compiled


def _imported(exported: bytes | None, settings: dict[str, str]) -> "openvino.CompiledModel | None":
    """Return what was exported as OpenVINO takes it, or ``None`` where it does not."""
    if exported is None:
        return None
    try:
        return _core().import_model(io.BytesIO(exported), "CPU", settings)
    except RuntimeError:  # of another processor, or of another build of this version
        return None


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
