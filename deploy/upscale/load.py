"""Load models for enlarging: in which runtime, with which settings, at what cost in memory."""

from collections.abc import Callable

import onnx

from calib.errors import UsageError
from calib.runtime import installed_providers
from deploy.runtime.backends import BackendName, backend_runner
from deploy.runtime.runner import Runner, model_runner

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}

# What processors with bf16 do to the float parts otherwise costs more than int8 does.
_CONFIGS = {"openvino": {"INFERENCE_PRECISION_HINT": "f32"}}

# Measured on x4plus-anime-6b at 258x372: onnxruntime keeps the enlarged tensor in two layouts.
_OVERHEADS: dict[BackendName, float] = {"ort": 1.65, "openvino": 1.05}


def loader(
    backend: BackendName, provider: str | None = None, threads: int | None = None
) -> Callable[[onnx.ModelProto], Runner]:
    """Return what turns a model into the function it computes.

    Args:
        backend: the runtime.
        provider: of onnxruntime, one of :data:`PROVIDERS`; ``None``: the CPU's.
        threads: for the runtime; ``None`` takes every core.

    Raises:
        UsageError: the provider is not known, not installed, or of another runtime.
    """
    if provider is None:
        return lambda model: backend_runner(backend, model, _CONFIGS.get(backend), threads)
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


def memory_overhead(backend: BackendName) -> float:
    """Return the memory that a runtime takes per byte of activations."""
    return _OVERHEADS[backend]
