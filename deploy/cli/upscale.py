"""Run ``esrdeploy upscale``: enlarge a picture, a clip or a folder with a built network."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy.cli.console import error_line, make_progress, print_json, say
from deploy.cli.options import AsJson, Builds, PrecisionChoice, lowest

_NAMED_AT_MOST = 3


def upscale(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="Picture (PNG, JPEG, WebP, TIFF, AVIF), clip or folder."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write, or folder.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Build to enlarge with: its folder's name in --builds, or its path.",
            show_default="the only one there is",
        ),
    ] = None,
    builds: Builds = Path("dist"),
    precision: Annotated[
        PrecisionChoice | None,
        typer.Option(
            "--precision", "-p", help="File of the build to use.", show_default="int8 if built"
        ),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Use the network's full-integer build, made with build --full-integer: quicker, "
            "and further from float.",
        ),
    ] = False,
    backend: Annotated[
        Literal["ort", "openvino"] | None,
        typer.Option(
            help="Runtime: onnxruntime or OpenVINO.",
            show_default="the one that the file is made for",
        ),
    ] = None,
    provider: Annotated[
        Literal["cpu", "cuda", "coreml", "directml"] | None,
        typer.Option(help="Execution provider of onnxruntime.", show_default="cpu"),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            help="Output pixels per input pixel along a side, such as 2.5: resized behind the "
            "network.",
            show_default="the network's",
        ),
    ] = None,
    image_format: Annotated[
        Literal["png", "jpg", "webp", "tif", "avif"] | None,
        typer.Option("--format", help="Format to write.", show_default="that of each picture"),
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF.")] = 95,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into subfolders.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Draw again what is there already.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also write each beside its bicubic enlargement."),
    ] = False,
    memory: Annotated[
        int | None,
        typer.Option(
            min=500,
            metavar="MB",
            help="Memory that may be taken: with more of it tiles are larger and overlap less.",
            show_default="1500",
        ),
    ] = None,
    codec: Annotated[
        Literal["h264", "hevc", "av1", "ffv1"] | None,
        typer.Option(help="Codec of clips.", show_default="h264, av1 in .webm"),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=63,
            help="Constant rate factor of clips: lower is better and larger.",
            show_default="18 for h264, 20 for hevc, 24 for av1",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Deal pictures out to this many processes of this machine; each takes --memory.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Deal them out to the Dask cluster of this scheduler, tcp://HOST:PORT, whose "
            "machines see the same folders."
        ),
    ] = None,
    own_tiles: Annotated[
        bool,
        typer.Option("--own-tiles", help="Keep to tiles of the size that the file is built for."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Enlarge a picture, a clip, or all of a folder; exit 1 if one of a folder fails."""
    from deploy.network.known_models import model_name
    from deploy.upscale.memory import MEMORY_MB
    from deploy.upscale.request import UpscaleRequest
    from deploy.upscale.run import upscale_pictures

    progress = make_progress()
    request = UpscaleRequest(
        source,
        out,
        builds=builds,
        model=None if model is None else model_name(model),
        precision=None if precision is None else lowest([precision]),
        fast=fast,
        backend=backend,
        provider=provider,
        scale=scale,
        suffix=None if image_format is None else f".{image_format}",
        recursive=recursive,
        overwrite=overwrite,
        compare=compare,
        quality=quality,
        memory_mb=memory or MEMORY_MB,
        own_tiles=own_tiles,
        codec=codec,
        crf=crf,
        workers=workers,
        scheduler=scheduler,
    )
    outcome = upscale_pictures(request, progress)
    failed = outcome.of("failed")
    if as_json:
        print_json("esrdeploy.cli.upscale/1", outcome.record())
    else:
        drawn, there = outcome.of("drawn"), outcome.of("there already")
        if there:
            say(f"{len(there)} there already; --overwrite draws them again")
        if outcome.passed_over:
            names = ", ".join(path.name for path in outcome.passed_over[:_NAMED_AT_MOST])
            more = ", ..." if len(outcome.passed_over) > _NAMED_AT_MOST else ""
            say(f"{len(outcome.passed_over)} files passed over, no pictures: {names}{more}")
        say(f"{len(drawn)} drawn with {outcome.file.artifact.path}, {len(failed)} failed: {out}")
        for item in failed:
            error_line(item.reason)
    if failed:
        raise typer.Exit(1)
