"""A float model and its calibration table in, the model files of each precision out."""

from collections.abc import Mapping
from pathlib import Path

import onnx

from calib.digest import canonical_json
from calib.table import CalibrationTable
from deploy.artifacts import (
    PARITY_NAME,
    Artifact,
    model_file_name,
    plan_file_name,
    write_model,
    write_record,
)
from quant.fp16 import to_fp16
from quant.plan import QuantOptions
from quant.planner import make_plan
from quant.qdq import emit_qdq
from quant.targets import TargetProfile


def write_fp32(folder: Path, name: str, model: onnx.ModelProto) -> list[Artifact]:
    """Write the float model."""
    return [write_model(folder, model_file_name(name, "fp32"), model, "fp32")]


def write_fp16(
    folder: Path, name: str, model: onnx.ModelProto, table: CalibrationTable
) -> list[Artifact]:
    """Convert to fp16, after every range has been checked against fp16, and write the model.

    Raises:
        GraphError: a tensor's observed range overflows fp16.
    """
    return [write_model(folder, model_file_name(name, "fp16"), to_fp16(model, table), "fp16")]


def write_int8(  # noqa: PLR0913  # the inputs of three steps
    folder: Path,
    name: str,
    model: onnx.ModelProto,
    table: CalibrationTable,
    *,
    profile: TargetProfile,
    options: QuantOptions,
) -> list[Artifact]:
    """Plan and emit the quantized model of one target, and write both."""
    plan = make_plan(model, table, profile, options)
    quantized = emit_qdq(model, plan)
    file_name = model_file_name(name, "int8", profile.name)
    return [
        write_model(folder, file_name, quantized, "int8", profile.name),
        write_record(folder, plan_file_name(name, profile.name), canonical_json(plan.to_record())),
    ]


def write_parity(folder: Path, record: Mapping[str, object]) -> list[Artifact]:
    """Write the parity figures of a verification."""
    return [write_record(folder, PARITY_NAME, canonical_json(record))]
