"""A float model and its calibration table in, the model files of each precision out."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import onnx

from calib.dataset import PatchSet
from calib.digest import canonical_json
from calib.images import to_input
from calib.sample import sample_patches
from calib.table import CalibrationTable
from deploy.artifacts import (
    PARITY_NAME,
    Artifact,
    model_file_name,
    plan_file_name,
    write_model,
    write_record,
)
from deploy.progress import Progress
from quant.fp16 import to_fp16
from quant.plan import QuantOptions
from quant.planner import make_plan
from quant.qdq import RefinedWeights, emit_qdq
from quant.refine import IMAGES, refine_weights
from quant.refinement import with_refinement
from quant.targets import TargetProfile


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


def rounding_patches(source: PatchSet | CalibrationTable) -> PatchSet:
    """Return the pictures that decide how weights are rounded: the first of the calibration's.

    With a finished table its pictures are not at hand, unless they came from the embedded
    sample; then, as for any other, the sample's calibration photographs serve.
    """
    if isinstance(source, CalibrationTable):
        known = source.images.get("origin") == "sample"
        count = min(IMAGES, source.images["count"]) if known else IMAGES
        source = sample_patches("calibration", count)
    return replace(source, requested=IMAGES, patches=source.patches[:IMAGES])


def write_int8(  # noqa: PLR0913  # the inputs of four steps
    folder: Path,
    name: str,
    model: onnx.ModelProto,
    table: CalibrationTable,
    *,
    profile: TargetProfile,
    options: QuantOptions,
    patches: PatchSet,
    progress: Progress,
) -> list[Artifact]:
    """Plan the quantized model of one target, round its weights, emit it, and write both.

    Args:
        folder: where to write.
        name: of the model.
        model: the float model.
        table: its calibration table.
        profile: the target.
        options: how to quantize.
        patches: pictures that decide how weights are rounded.
        progress: told how far that is.
    """
    plan = make_plan(model, table, profile, options)
    refined = RefinedWeights()
    if options.rounding == "second-order":
        title = f"rounding weights of {profile.name}"
        with progress.stage(title, len(plan.weights)) as advance:
            inputs = [to_input(patch.load()) for patch in patches.patches]
            refined = refine_weights(model, plan, inputs, on_step=advance)
        plan = with_refinement(model, plan, refined, patches.record())
    quantized = emit_qdq(model, plan, refined)
    file_name = model_file_name(name, "int8", profile.name)
    return [
        write_model(folder, file_name, quantized, "int8", profile.name),
        write_record(folder, plan_file_name(name, profile.name), canonical_json(plan.to_record())),
    ]


def write_parity(folder: Path, record: Mapping[str, object]) -> list[Artifact]:
    """Write the parity figures of a verification."""
    return [write_record(folder, PARITY_NAME, canonical_json(record))]
