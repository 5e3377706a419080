"""Run an ncnn model with ncnn's own engine."""

from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.errors import VerificationError
from deploy.runtime.runner import Runner, in_batches

_HALF_OPTIONS = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_storage",
)
_THREADS = 2


def ncnn_runner(param: Path) -> Runner:
    """Load ``param`` and the ``.bin`` beside it, computing in float32 or, where stored so, int8.

    Args:
        param: the ``.param``.

    Raises:
        ImportError: ncnn is not installed.
        VerificationError: ncnn refuses the pair.
    """
    import ncnn  # noqa: PLC0415  # an extra

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    for name in _HALF_OPTIONS:
        setattr(net.opt, name, False)
    net.opt.num_threads = _THREADS
    if net.load_param(str(param)) != 0 or net.load_model(str(param.with_suffix(".bin"))) != 0:
        raise VerificationError(f"ncnn cannot load {param.name} with its .bin")
    (input_name,), (output_name,) = net.input_names(), net.output_names()

    def run(network_input: Float32) -> Float32:
        with net.create_extractor() as extractor:
            # Mat reads the memory as if it were contiguous, and only borrows it.
            planes = np.ascontiguousarray(network_input[0])
            extractor.input(input_name, ncnn.Mat(planes).clone())
            status, output = extractor.extract(output_name)
            if status != 0:
                raise VerificationError(f"ncnn cannot run {param.name}: status {status}")
            found: Float32 = np.array(output, np.float32)[np.newaxis]
        return found

    return in_batches(run, 1)
