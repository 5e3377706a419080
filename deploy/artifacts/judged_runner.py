"""Load a file of a build the way that it is judged, for everyone who runs one.

int8 files are judged in QDQ reference semantics. float and fp16 files hold no QDQ pair that a fused
kernel could round elsewhere: they are judged as onnxruntime executes them, which computes fp16
nodes in float32 on a CPU.
"""

import onnx

from deploy.artifacts.precision import ModelPrecision
from deploy.runtime.runner import Runner, model_runner


def judged_by_reference(precision: ModelPrecision | None) -> bool:
    """Tell whether a file of that precision is judged in QDQ reference semantics."""
    return precision == "int8"


def judged_runner(model: onnx.ModelProto, precision: ModelPrecision | None) -> Runner:
    """Return what a file computes where it is judged.

    Args:
        model: the file, or that network at another size or batch.
        precision: of the file.

    Raises:
        GraphError: onnxruntime refuses the model.
    """
    return model_runner(model, optimized=not judged_by_reference(precision))
