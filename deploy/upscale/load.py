"""Load models for enlarging: in which runtime, with which settings, at what cost in memory."""

from collections.abc import Callable
from pathlib import Path

import onnx

from calib.errors import UsageError
from calib.runtime import installed_providers
from deploy.runtime.backends import BackendName, backend_runner
from deploy.runtime.kept_compilations import kept_folder
from deploy.runtime.runner import Runner, model_runner
from deploy.runtime.tiling import MARGIN_PX
from deploy.upscale.built_file import BuiltFile
from deploy.upscale.memory import MEMORY_MB, Copies
from deploy.upscale.sized_network import SizedNetwork

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}

_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
"""Makes OpenVINO compute float parts in float32 on processors that have bf16 as well."""

FLOAT_MARGIN_PX = 32
"""Of tiles of a file whose own error does not hide what a narrower margin leaves."""

# Measured on x4plus-anime-6b: peak memory per pixel of 65,000 and 131,000 (trunk), 8,000 and 33,000
# (head). onnxruntime keeps what a dense block concatenates in two layouts, and its parts too.
_COPIES: dict[tuple[BackendName, bool], Copies] = {
    ("ort", False): Copies(trunk=3.5, head=1.35, whole=1.65),
    ("ort", True): Copies(trunk=2.1, head=1.35, whole=1.65),
    ("openvino", False): Copies(trunk=1.55, head=1.2, whole=1.2),
    ("openvino", True): Copies(trunk=1.6, head=1.2, whole=1.2),
}


def loader(
    backend: BackendName,
    provider: str | None = None,
    threads: int | None = None,
    kept: Path | None = None,
    *,
    float32: bool = True,
) -> Callable[[onnx.ModelProto], Runner]:
    """Return what turns a model into the function it computes.

    Args:
        backend: the runtime.
        provider: of onnxruntime, one of :data:`PROVIDERS`; ``None``: the CPU's.
        threads: for the runtime; ``None`` takes every core.
        kept: folder of what OpenVINO compiled before; ``None`` compiles anew.
        float32: whether OpenVINO computes what is not quantized in float32; else in bf16 or fp16
            where the processor is quicker at it.

    Raises:
        UsageError: the provider is not known, not installed, or of another runtime.
    """
    if provider is None:
        config = _FLOAT32 if float32 and backend == "openvino" else {}
        return lambda model: backend_runner(backend, model, config, threads, kept)
    if provider not in PROVIDERS:
        raise UsageError(f"found --provider {provider}; expected one of {', '.join(PROVIDERS)}")
    if backend != "ort":
        raise UsageError(f"--provider {provider} is onnxruntime's; add --backend ort")
    name = PROVIDERS[provider]
    if name not in installed_providers():
        here = [short for short, full in PROVIDERS.items() if full in installed_providers()]
        raise UsageError(
            f"this onnxruntime has no provider {provider}, but {', '.join(here)}; install the "
            "onnxruntime package that has it"
        )
    return lambda model: model_runner(model, optimized=True, provider=name, threads=threads)


def load_network(
    file: BuiltFile,
    provider: str | None = None,
    *,
    memory_mb: float = MEMORY_MB,
    own_tiles: bool = False,
    threads: int | None = None,
) -> SizedNetwork:
    """Return the network in a file of a build.

    Args:
        file: which.
        provider: see :func:`loader`.
        memory_mb: what the process may take, 10^6 bytes.
        own_tiles: keep to the size that the file is built for.
        threads: for the runtime; ``None`` takes every core.

    Raises:
        UsageError: as :func:`loader`.
        VerificationError: the file is not the one that its manifest names.
    """
    quantized = file.artifact.precision == "int8"
    # bf16 halves what the float convolutions of a head take. It costs int8 0.05 dB, a float file
    # all that tells it from int8, and a trunk, whose additions take no time, as much for nothing.
    return SizedNetwork(
        file.model(),
        file.scale,
        loader(file.backend, provider, threads, kept_folder()),
        load_head=loader(file.backend, provider, threads, kept_folder(), float32=not quantized),
        copies=float_copies(file.backend, quantized=quantized),
        margin_px=MARGIN_PX if quantized else FLOAT_MARGIN_PX,
        memory_mb=memory_mb,
        fixed=own_tiles,
    )


def float_copies(backend: BackendName, *, quantized: bool) -> Copies:
    """Return how often a runtime keeps a float tensor of a file, in another layout too.

    Args:
        backend: the runtime.
        quantized: whether the file is int8.
    """
    return _COPIES[backend, quantized]
