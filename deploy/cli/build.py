"""Run ``esrdeploy build``: make a verified set of ONNX models from weights and images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from deploy.cli import completion
from deploy.cli.console import make_progress, print_json, say
from deploy.cli.form_options import ChannelOrderChoice, Input, LayoutChoice
from deploy.cli.next_commands import next_commands
from deploy.cli.options import (
    Activation,
    AsJson,
    Calib,
    CalibCount,
    CalibTable,
    DegradationFile,
    Degrade,
    Mode,
    Model,
    Name,
    OnnxFile,
    Out,
    PrecisionChoice,
    Replace,
    Resume,
    Scheduler,
    Seed,
    SizeText,
    Weights,
    Workers,
    calibration_degradation,
    calibration_folder,
    lowest,
)
from deploy.cli.quantization_options import (
    AccumulatorBitsChoice,
    AllowMostlyPromoted,
    Device,
    Effort,
    Equalization,
    Fp16Keep,
    FullInteger,
    Head,
    Lower,
    MaxDrop,
    MinParity,
    Percentile,
    Rounding,
    Tail,
    Trunk,
    Upsampling,
)
from deploy.cli.signing import Sign, signer_of
from deploy.cli.target_words import find_target
from deploy.cli.verdicts import show_verification

if TYPE_CHECKING:
    from deploy.build.request import BuildRequest
    from deploy.pipeline import BuildOutcome
    from quant.numerics.saturation_limits import AccumulatorBits


def build(
    model: Model = None,
    precision: Annotated[
        list[PrecisionChoice] | None,
        typer.Option(
            "--precision",
            "-p",
            help="Lowest precision to build; every higher one is left beside it. Default: int8, "
            "so all three.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="Target profile of the int8 model: ort (CPUs), tensorrt (or nvidia), tensorrt-10 "
            "(TensorRT 10.11 and older), openvino (or intel), qnn (or qualcomm, rockchip) or "
            "qnn-w8a16; repeatable. 'esrdeploy targets' says which chip takes which.",
            show_default="ort",
            autocompletion=completion.targets,
        ),
    ] = None,
    weights: Weights = None,
    onnx_file: OnnxFile = None,
    activation: Activation = None,
    size: SizeText = "128",
    batch: Annotated[int, typer.Option(help="Pictures that one inference takes, 1 to 64.")] = 1,
    calib: Calib = None,
    calib_count: CalibCount = 50,
    calib_table: CalibTable = None,
    degrade: Degrade = False,
    degradation: DegradationFile = None,
    verify_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of pictures to verify on; then nothing is held back from --calib.",
            show_default="one in five of --calib (of a dozen or more 4 to 8), else the sample",
        ),
    ] = None,
    mode: Mode = "whole",
    percentile: Percentile = None,
    full_integer: FullInteger = False,
    head: Head = None,
    trunk: Trunk = None,
    tail: Tail = None,
    accumulator_bits: AccumulatorBitsChoice = None,
    rounding: Rounding = "gptq",
    equalization: Equalization = None,
    upsampling: Upsampling = None,
    effort: Effort = "normal",
    device: Device = "auto",
    max_drop: MaxDrop = None,
    min_parity: MinParity = None,
    allow_mostly_promoted: AllowMostlyPromoted = False,
    fp16_keep: Fp16Keep = None,
    lower: Lower = None,
    input_values: Input = "float",
    layout: LayoutChoice = "nchw",
    channel_order: ChannelOrderChoice = "rgb",
    seed: Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    name: Name = None,
    out: Out = Path("dist"),
    replace: Replace = False,
    resume: Resume = True,
    report: Annotated[bool, typer.Option(help="Make report.html, a page to look at.")] = True,
    sign: Sign = None,
    as_json: AsJson = False,
) -> None:
    """Build fp32, fp16 and int8 ONNX models and verify that they draw the same picture."""
    from calib.form import Form
    from calib.tile import Tile
    from deploy.artifacts.files import MANIFEST_NAME
    from deploy.build.budget import Budget
    from deploy.build.calibrate import CalibrationRequest
    from deploy.build.execution import Execution
    from deploy.build.idle_options import idle_options
    from deploy.build.request import BuildRequest
    from deploy.network.weights.naming import named_model
    from quant.passes.lowering.catalogue import parse_lowerings
    from quant.plan import QuantOptions

    progress = make_progress()
    signer = signer_of(sign)
    folder = calibration_folder(calib, calib_table)
    degraded = calibration_degradation(folder, degradation, degrade=degrade)
    request = BuildRequest(
        named_model(model, weights, progress, onnx_file, name),
        precision=lowest(precision or [PrecisionChoice.INT8]),
        targets=tuple(dict.fromkeys(find_target(name).name for name in target or ["ort"])),
        weights=weights,
        onnx_file=onnx_file,
        calibration=CalibrationRequest(folder, calib_count, mode, seed, calib_table, degraded),
        execution=Execution(workers, scheduler, resume, device),
        quantization=QuantOptions(
            percentile=percentile,
            full_integer=full_integer,
            head=head,
            trunk=trunk,
            tail=tail,
            accumulator_bits=cast("AccumulatorBits | None", accumulator_bits),  # judged there
            rounding="gptq" if rounding == "second-order" else rounding,
            equalization=equalization,
            upsampling=upsampling,
            effort=effort,
        ),
        budget=Budget.of(max_drop, min_parity, mostly_promoted=allow_mostly_promoted),
        fp16_keep=tuple(dict.fromkeys(fp16_keep or [])),
        out=out,
        report=report,
        own_name=name,
        verify_images=verify_images,
        tile=Tile.parse(size, batch),
        replace=replace,
        lowering=parse_lowerings(lower or []),
        activation=activation,
        form=Form(input_values, layout, channel_order),
    )
    # What cannot be done is refused before torch, which the pipeline needs, is loaded.
    request.require_possible()
    for line in idle_options(request, targets=bool(target)):
        progress.note(line)
    from deploy.pipeline import build_model

    outcome = build_model(request, progress)
    if signer is not None and outcome.verification.passed:
        progress.note(f"signed: {signer.sign(outcome.folder / MANIFEST_NAME)}")
    if as_json:
        document = {**outcome.record(), "next": _next(outcome, request, target or ())}
        print_json("esrdeploy.cli.build/2", document)
    else:
        _show(outcome, request, target or ())
    if not outcome.verification.passed:
        raise typer.Exit(1)


def _show(outcome: "BuildOutcome", request: "BuildRequest", chips: Sequence[str]) -> None:
    """Print the files of a build, its verdict, what to mind, and what comes next."""
    from deploy.artifacts.files import REPORT_NAME

    for artifact in outcome.manifest.artifacts:
        typer.echo(f"{artifact.size_bytes / 1e6:9.2f} MB  {outcome.folder / artifact.path}")
    for node, reason in outcome.manifest.fp16_kept.items():
        say(f"fp16: node {node} stays in float32, {reason}")
    for profile, made in outcome.manifest.options.targets.items():
        if made.budget is not None:
            say(f"int8 {profile}: {made.budget}")
    elsewhere = REPORT_NAME if request.report else "'esrdeploy verify --layers'"
    verification = dataclasses.replace(outcome.verification, warnings=outcome.warnings)
    show_verification(verification, layers_elsewhere=elsewhere)
    if request.report:
        say(f"see {outcome.folder / REPORT_NAME}")
    for line in _next(outcome, request, chips):
        typer.echo(f"next: {line}")


def _next(outcome: "BuildOutcome", request: "BuildRequest", chips: Sequence[str]) -> list[str]:
    """Return the commands that come next, on the user's own pictures if they were verified on."""
    own = outcome.verification.judges.choice != "sample"
    images = (request.verify_images or request.calibration.folder) if own else None
    original = request.weights or request.onnx_file
    return next_commands(
        outcome.folder,
        outcome.manifest,
        original,
        images,
        reported=request.report,
        passed=outcome.verification.passed,
        chips=chips,
        before=outcome.before,
    )
