"""Write the model files of a build in the form that is asked for, each whole or not at all."""

from pathlib import Path

import onnx

from calib.form import Form
from calib.records import encode
from deploy.artifacts.files import (
    PARITY_NAME,
    Artifact,
    artifact_of,
    model_file_name,
    plan_file_name,
    sensitivity_file_name,
    write_model,
    write_record,
)
from deploy.artifacts.parity_record import ParityFile
from deploy.build.quantize import QuantizedModel
from quant.passes.forms.form import in_form


def write_fp32(folder: Path, name: str, written: onnx.ModelProto) -> list[Artifact]:
    """Write the float model, which is in its form already."""
    return [write_model(folder, model_file_name(name, "fp32"), written, "fp32")]


def write_fp16(folder: Path, name: str, half: onnx.ModelProto, form: Form) -> list[Artifact]:
    """Write the fp16 model."""
    return [write_model(folder, model_file_name(name, "fp16"), in_form(half, form), "fp16")]


def write_quantized(
    folder: Path, name: str, quantized: QuantizedModel, form: Form
) -> list[Artifact]:
    """Write an int8 model and its plan; what each layer costs, where measured, lies there already.

    Args:
        folder: where to write.
        name: of the model.
        quantized: the int8 model of one target.
        form: how the file is to take and give pictures.
    """
    target = quantized.plan.target
    file_name = model_file_name(name, "int8", target)
    artifacts = [
        write_model(folder, file_name, in_form(quantized.model, form), "int8", target),
        write_record(folder, plan_file_name(name, target), quantized.plan.content()),
    ]
    if quantized.sensitivity is not None:
        artifacts.append(artifact_of(folder / sensitivity_file_name(name, target)))
    return artifacts


def write_parity(folder: Path, record: ParityFile) -> list[Artifact]:
    """Write the parity figures of a verification."""
    return [write_record(folder, PARITY_NAME, encode(record))]
