"""Run ``esrdeploy calibrate``: make a float model and its calibration table."""

from pathlib import Path

import typer

from deploy.cli.console import make_progress, print_json, say
from deploy.cli.options import (
    Activation,
    AsJson,
    Calib,
    CalibCount,
    DegradationFile,
    Degrade,
    Mode,
    Model,
    Name,
    OnnxFile,
    Out,
    Replace,
    Resume,
    Scheduler,
    Seed,
    SizeText,
    Weights,
    Workers,
    calibration_degradation,
    calibration_folder,
)


def calibrate(
    model: Model = None,
    weights: Weights = None,
    onnx_file: OnnxFile = None,
    activation: Activation = None,
    calib: Calib = None,
    calib_count: CalibCount = 50,
    degrade: Degrade = False,
    degradation: DegradationFile = None,
    mode: Mode = "whole",
    size: SizeText = "128",
    seed: Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    name: Name = None,
    out: Out = Path("dist"),
    replace: Replace = False,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Observe the activation ranges of the float model over a folder of images."""
    from calib.tile import Tile
    from deploy.build.calibrate import CalibrationRequest
    from deploy.build.execution import Execution
    from deploy.build.request import BuildRequest
    from deploy.network.weights.naming import named_model

    progress = make_progress()
    folder = calibration_folder(calib)
    degraded = calibration_degradation(folder, degradation, degrade=degrade)
    images = CalibrationRequest(folder, calib_count, mode, seed, degradation=degraded)
    request = BuildRequest(
        named_model(model, weights, progress, onnx_file, name),
        tile=Tile.parse(size),
        weights=weights,
        onnx_file=onnx_file,
        calibration=images,
        execution=Execution(workers, scheduler, resume),
        out=out,
        own_name=name,
        replace=replace,
        activation=activation,
    )
    from deploy.pipeline import calibrate_model

    outcome = calibrate_model(request, progress)
    if as_json:
        print_json("esrdeploy.cli.calibrate/3", outcome.record())
        return
    table = outcome.table
    images_seen = table.images
    say(f"{len(table.tensors)} tensors over {images_seen.count} images of {images_seen.size}")
    say(f"table {table.digest} of network {table.network_digest}")
    for artifact in outcome.artifacts:
        typer.echo(f"{artifact.size_bytes / 1e6:9.2f} MB  {outcome.folder / artifact.path}")
