"""List the runtimes that can run a file here, and which of them a file is made for."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import onnx

from calib.errors import UsageError
from calib.extras import install_command
from calib.runtime import ORT_VERSION
from deploy.runtime.runner import Runner, model_runner

BackendName = Literal["ort", "openvino"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)


def require_backends(names: Iterable[BackendName]) -> None:
    """Make sure that runtimes are installed.

    Raises:
        UsageError: one is not; the message says how to install it.
    """
    for name in names:
        if not is_installed(name):
            raise UsageError(f"the backend {name} is not installed; run: {install_command(name)}")


def is_installed(name: BackendName) -> bool:
    """Tell whether a runtime can be used; onnxruntime always can."""
    return name == "ort" or find_spec(name) is not None


def backend_runner(
    name: BackendName,
    model: onnx.ModelProto,
    config: Mapping[str, str] | None = None,
    threads: int | None = None,
    kept: Path | None = None,
) -> Runner:
    """Load a model into a runtime and return the function it computes.

    Args:
        name: the runtime.
        model: with one input and one output, both pictures in the form that its metadata state.
        config: settings that are not the runtime's defaults.
        threads: for the runtime; ``None`` takes every core.
        kept: folder of what OpenVINO compiled before, see :func:`kept_folder
            <deploy.runtime.kept_compilations.kept_folder>`; ``None`` compiles anew.

    Raises:
        GraphError: the runtime refuses the model.
    """
    if name == "ort":
        return model_runner(model, optimized=True, config=config, threads=threads)
    from deploy.runtime.openvino import openvino_runner  # noqa: PLC0415  # an extra

    counted = {} if threads is None else {"INFERENCE_NUM_THREADS": str(threads)}
    return openvino_runner(model, {**(config or {}), **counted}, kept)


def backend_version(name: BackendName) -> str:
    """Return the version of an installed runtime."""
    if name == "ort":
        return ORT_VERSION
    from deploy.runtime.openvino import OPENVINO_VERSION  # noqa: PLC0415  # an extra

    return OPENVINO_VERSION
