"""Run ``esrdeploy degrade``: make pairs of photographs and what degradation leaves of them."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.console import make_progress, print_json, say
from deploy.cli.options import AsJson, Seed


def degrade(
    photos: Annotated[
        Path, typer.Argument(metavar="HR_DIR", help="Folder of high-resolution photographs.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the pairs, new or empty.")],
    scale: Annotated[
        int,
        typer.Option(min=1, max=8, help="Pixels of a photograph per pixel of the result's side."),
    ] = 4,
    crop: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PX",
            help="Cut a square of this side out of each photograph, somewhere.",
            show_default="all of it",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="How many photographs, the first by name.", show_default="all"),
    ] = None,
    degradation: Annotated[
        Path | None,
        typer.Option(
            "--degradation",
            metavar="FILE",
            help="Parameters of the degradation, JSON.",
            show_default="those that x4plus was trained with",
        ),
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Degrade photographs as Real-ESRGAN's training does: pairs to evaluate or calibrate on."""
    from dataclasses import asdict

    from calib.degradation.pairs import PAIRS_NAME, PairsRequest, write_pairs
    from calib.degradation.parameters import Degradation, DegradationParameters, read_parameters
    from deploy.artifacts.claim import claimed

    parameters = DegradationParameters() if degradation is None else read_parameters(degradation)
    request = PairsRequest(photos, out, Degradation(scale, parameters), seed, crop, count)
    files = request.files()
    stage = make_progress().stage(f"degrading {photos}", len(files))
    with claimed(out), stage as advance:
        record = write_pairs(request, on_pair=advance)
    if as_json:
        content = {"folder": str(out), "record": asdict(record)}
        print_json("esrdeploy.cli.degrade/1", content)
        return
    first = record.pairs[0]
    say(f"{len(record.pairs)} pairs at scale {scale} in {out}, such as")
    typer.echo(f"  {first.hr}")
    typer.echo(f"  {first.lr}")
    say(f"what was done to each: {out / PAIRS_NAME}")
    say(f"score builds on them: esrdeploy eval --data {out} --shape source")
