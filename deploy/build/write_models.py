"""A float model and its calibration table in, the model files of each precision out."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import onnx

from calib.dataset import PatchSet
from calib.records import encode
from calib.sample import sample_patches
from calib.table import CalibrationTable
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
from deploy.build.budget import Budget
from deploy.build.quantize import HELD_OUT, Pictures, Quantizer
from quant.fp16.convert import to_fp16
from quant.passes.equivalence import Probe
from quant.plan import QuantOptions
from quant.qdq.emit import emit_qdq
from quant.rounding.round_weights import IMAGES


def write_fp32(folder: Path, name: str, model: onnx.ModelProto) -> list[Artifact]:
    """Write the float model."""
    return [write_model(folder, model_file_name(name, "fp32"), model, "fp32")]


def write_fp16(
    folder: Path,
    name: str,
    model: onnx.ModelProto,
    table: CalibrationTable,
    *,
    kept: Collection[str],
) -> list[Artifact]:
    """Convert to fp16, after every range has been checked against fp16, and write the model.

    Args:
        folder: where to write.
        name: of the model.
        model: the float model.
        table: its calibration table.
        kept: nodes to leave in float32: all around which a value overflows fp16, at least.
    """
    half = to_fp16(model, table, keep=kept)
    return [write_model(folder, model_file_name(name, "fp16"), half, "fp16")]


def pictures_of(source: PatchSet | CalibrationTable, probe: Probe) -> Pictures:
    """Return the calibration's pictures by what is decided on them.

    The first round weights, those behind them hold a budget. Where there are too few, and with a
    finished table, whose pictures are not at hand, the embedded sample's calibration photographs
    serve.

    Args:
        source: the calibration images, or the finished table.
        probe: a picture to prove rewritten graphs on.
    """
    sample = sample_patches("calibration", IMAGES + HELD_OUT)
    if isinstance(source, CalibrationTable):
        known = source.images.origin == "sample"
        count = min(IMAGES, source.images.count) if known else IMAGES
        return Pictures(_some(sample, 0, count), _some(sample, IMAGES, HELD_OUT), probe)
    ours = source if len(source.patches) >= IMAGES + HELD_OUT else sample
    return Pictures(_some(source, 0, IMAGES), _some(ours, IMAGES, HELD_OUT), probe)


def _some(patches: PatchSet, first: int, count: int) -> PatchSet:
    return replace(patches, requested=count, patches=patches.patches[first : first + count])


def write_int8(
    folder: Path,
    name: str,
    quantizer: Quantizer,
    options: QuantOptions,
    budget: Budget | None,
) -> tuple[list[Artifact], Mapping[str, str]]:
    """Plan the quantized model of one target, round its weights, emit it, and write all.

    Args:
        folder: where to write.
        name: of the model.
        quantizer: of the float model, for the target.
        options: how to quantize.
        budget: what it may lose, or ``None``.

    Returns:
        The files, and the nodes promoted to a higher precision with the reasons.

    Raises:
        GraphError: the folded and equalized graph is not the same network.
        UsageError: the budget cannot be held.
    """
    target = quantizer.profile.name
    cache = folder / sensitivity_file_name(name, target)
    found = (
        quantizer.quantize(options) if budget is None else quantizer.within(options, budget, cache)
    )
    model = emit_qdq(quantizer.model, found.plan, found.weights)
    plan = found.plan.content()
    artifacts = [
        write_model(folder, model_file_name(name, "int8", target), model, "int8", target),
        write_record(folder, plan_file_name(name, target), plan),
    ]
    if found.sensitivity is not None:
        artifacts.append(artifact_of(cache))
    return artifacts, dict(found.plan.options.promoted)


def write_parity(folder: Path, record: ParityFile) -> list[Artifact]:
    """Write the parity figures of a verification."""
    return [write_record(folder, PARITY_NAME, encode(record))]
