"""A float model and its calibration table in, the model files of each precision out."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
from quant.equalized import equalized_model
from quant.fp16 import to_fp16
from quant.passes.driver import run_passes
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
    folder: Path, name: str, model: onnx.ModelProto, table: CalibrationTable
) -> list[Artifact]:
    """Convert to fp16, after every range has been checked against fp16, and write the model.

    Raises:
        GraphError: a tensor's observed range overflows fp16.
    """
    return [write_model(folder, model_file_name(name, "fp16"), to_fp16(model, table), "fp16")]


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
    probe: npt.NDArray[np.float32],
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
        probe: float32 ``[1,3,128,128]``, a picture to prove on that equalizing changes nothing.
        progress: told how far that is.

    Raises:
        GraphError: the equalized graph is not the same network.
    """
    with progress.stage(f"planning {profile.name}", 1) as advance:
        plan = make_plan(model, table, profile, options)
        if plan.equalization:
            passes = {"equalize": partial(equalized_model, plan=plan)}
            prepared = run_passes(model, passes, [probe])
            plan = replace(plan, proofs=tuple(proof.record() for proof in prepared.proofs))
        advance()
    refined = RefinedWeights()
    if options.rounding == "second-order":
        title = f"rounding weights of {profile.name}"
        with progress.stage(title, len(plan.weights)) as advance:
            inputs = [to_input(patch.load()) for patch in patches.patches]
            refined = refine_weights(model, plan, table, inputs, on_step=advance)
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
