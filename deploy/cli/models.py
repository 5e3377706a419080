"""Run ``esrdeploy models``: list the known models, or download official weights."""

from pathlib import Path
from typing import Annotated

import typer

from calib.errors import UsageError
from deploy.cli.console import make_progress, print_json, print_table, say
from deploy.cli.options import AsJson


def models(
    download: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Fetch this model's official weights, for later builds to find."
        ),
    ] = None,
    releases: Annotated[
        str | None,
        typer.Option(metavar="URL", help="With --download: a mirror of the official releases."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models with parameters, MACs, and whether their weights are at hand."""
    from deploy.network.model_listing import catalogue

    if releases is not None and download is None:
        raise UsageError("found --releases without --download; name the model to fetch from there")
    if download is not None:
        path = _download(download, releases)
        if not as_json:
            typer.echo(f"{download}: {path}")
            return
    rows = catalogue()
    if as_json:
        print_json("esrdeploy.cli.models/2", {"models": [row.record() for row in rows]})
        return
    columns = ["model", "architecture", "params M", "MACs G"]
    columns += ["GFLOPs as VastAI counts", "weights"]
    print_table(
        "models at 1x3x128x128",
        columns,
        [
            [
                row.name,
                str(row.architecture),
                f"{row.cost.parameters / 1e6:.3f}",
                f"{row.cost.macs / 1e9:.3f}",
                f"{row.cost.vendor_gflops:.3f}",
                row.weights or "none: --download, or --weights",
            ]
            for row in rows
        ],
    )
    say(
        "MACs: multiply-accumulates of the convolutions. GFLOPs as VastAI's model zoo counts them, "
        "to find a network in its table: bias additions and activations too, 2 each, per 0.9e9"
    )


def _download(name: str, releases: str | None) -> Path:
    from deploy.network.known_models import RELEASES_URL, find_model
    from deploy.network.weights.download import download_official

    entry = find_model(name)
    progress = make_progress()
    shown = 0
    with progress.stage(f"downloading {entry.official_file}, percent", 100) as advance:

        def on_progress(received: int, total: int | None) -> None:
            nonlocal shown
            while total and shown < received * 100 // total:
                advance()
                shown += 1

        return download_official(
            entry, releases_url=releases or RELEASES_URL, on_progress=on_progress
        )
