"""Name the precisions a model is built in, from the highest to the lowest."""

from typing import Literal

ModelPrecision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[ModelPrecision, ...] = ("fp32", "fp16", "int8")


def judged_by_reference(precision: ModelPrecision | None) -> bool:
    """Tell whether a file of that precision is judged in QDQ reference semantics.

    Those of int8 are. float and fp16 files hold no QDQ pair that a fused kernel could round
    elsewhere: they are judged as onnxruntime executes them, which computes fp16 nodes in float32
    on a CPU.
    """
    return precision == "int8"
