"""An ONNX model in, what OpenVINO's CPU plugin makes of it out: the one module that knows it.

OpenVINO is an optional extra. It reads QDQ as FakeQuantize operations and runs the convolutions
between them as integers. Nothing is configured: this is what it really does with the file on this
machine, reduced float precision included where the processor has it.
"""

from functools import cache
from importlib.metadata import version

import numpy as np
import onnx
from numpy.typing import NDArray

from calib.errors import GraphError, UsageError
from deploy.parity import Runner

try:
    import openvino
except ImportError as error:
    raise UsageError(
        "the backend openvino is not installed; run: pip install 'esrdeploy[openvino]'"
    ) from error

OPENVINO_VERSION = version("openvino")


def openvino_runner(model: onnx.ModelProto) -> Runner:
    """Compile a model for the CPU and return the function it computes.

    Args:
        model: with one input and one output, both float32 ``[1, 3, H, W]``.

    Raises:
        GraphError: OpenVINO refuses the model.
    """
    try:
        compiled = _core().compile_model(_core().read_model(model.SerializeToString()), "CPU")
    except RuntimeError as error:  # its errors share no narrower base class
        reason = str(error).strip().splitlines()[-1]
        raise GraphError(f"OpenVINO cannot load the graph: {reason}") from error

    def run(network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        # A copy: the next inference writes into the same buffer.
        return np.array(compiled(network_input)[0])

    return run


@cache
def _core() -> "openvino.Core":
    return openvino.Core()
