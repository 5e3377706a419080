"""Name the precisions a model is built in, from the highest to the lowest."""

from typing import Literal

ModelPrecision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[ModelPrecision, ...] = ("fp32", "fp16", "int8")
