"""Run ``esrdeploy compare``: int8 beside float on photographs at their own size."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.console import make_progress, print_json, print_table, say
from deploy.cli.options import AsJson, Builds, BuiltModels, BuiltTargets, PrecisionChoice
from deploy.cli.target_words import find_target
from deploy.metrics.decibels import decibels

if TYPE_CHECKING:
    from deploy.evaluate.compare_photographs import PictureDifference


def compare(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Pictures, or folders of them.")
    ],
    model: BuiltModels = None,
    precision: Annotated[
        list[PrecisionChoice] | None,
        typer.Option(
            "--precision", "-p", help="Files to compare with float: int8 or fp16; repeatable."
        ),
    ] = None,
    target: BuiltTargets = None,
    builds: Builds = Path("dist"),
    as_json: AsJson = False,
) -> None:
    """Compare int8 with float on pictures at their own size, tile by tile."""
    from deploy.artifacts.precision import PRECISIONS
    from deploy.evaluate.compare_photographs import ComparisonRequest, compare_photographs
    from deploy.network.known_models import model_name

    wanted = {choice.value for choice in precision or (PrecisionChoice.INT8,)}
    request = ComparisonRequest(
        pictures,
        builds=builds,
        models=tuple(map(model_name, model or ())),
        precisions=tuple(name for name in PRECISIONS if name in wanted),
        targets=tuple(find_target(name).name for name in target or ()),
    )
    found = compare_photographs(request, make_progress())
    if as_json:
        print_json("esrdeploy.cli.compare/1", {"pictures": [item.record() for item in found]})
        return
    _show(found)


def _show(found: "tuple[PictureDifference, ...]") -> None:
    from deploy.metrics.parity import UNSEEN_DB

    for file in dict.fromkeys(item.file for item in found):
        rows = [
            [
                item.picture,
                str(item.tiles),
                decibels(item.parity_db_mean),
                decibels(item.parity_db_lowest),
                str(item.x),
                str(item.y),
                str(item.largest),
            ]
            for item in found
            if item.file == file
        ]
        columns = ["picture", "tiles", "parity dB mean", "lowest", "x", "y", "largest difference"]
        print_table(f"{file} beside float, at each picture's own size", columns, rows)
    say(
        f"of the tiles that a picture is enlarged in: from {UNSEEN_DB:g} dB on one cannot be told "
        "from float; x, y: the pixel of the picture where the lowest begins; largest difference: "
        "in grey levels of 255; build and verify judge tiles cut elsewhere, each whole, so that "
        "their figures of a picture differ"
    )
    seen = list(dict.fromkeys(item.picture for item in found if item.calibrated_on))
    if seen:
        say(f"calibrated on, so that these figures flatter: {', '.join(seen)}")
