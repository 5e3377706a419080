"""Run ``esrdeploy verify --returned``: judge a vendor's outputs against the bundle."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from calib.errors import UsageError
from deploy.cli.console import make_progress, print_json, print_table
from deploy.metrics.decibels import decibels

if TYPE_CHECKING:
    from deploy.artifacts.signature import Signer
    from deploy.handoff.returned.image_verdict import ReturnedImage
    from deploy.handoff.returned.request import ReturnedRequest
    from deploy.handoff.returned.verdict import Returned


def verify_returned(
    request: "ReturnedRequest", report: Path | None, signer: "Signer | None", *, as_json: bool
) -> bool:
    """Judge what was returned and print the verdict; say whether it is good.

    Raises:
        UsageError: there is no record to sign, or the report has no place.
    """
    from deploy.handoff.returned.judge import judge_returned
    from deploy.handoff.returned.place import asked_place
    from deploy.handoff.returned.report import write_report
    from deploy.handoff.returned.verdict import SCHEMA

    if signer is not None and report is None:
        raise UsageError("found --sign without --report, which names the record that is signed")
    place = None if report is None else asked_place(report, request.folder)
    progress = make_progress()
    returned = judge_returned(request, progress)
    if place is not None:
        write_report(returned, place)
        if place.note:
            progress.note(place.note)
        if signer is not None:
            progress.note(f"signed: {signer.sign(place.record)}")
    if as_json:
        print_json(SCHEMA, returned.record())
        return returned.passed
    _show(returned)
    if place is None:
        typer.echo("nothing was written; --report NAME.html keeps this, with the pictures")
    else:
        typer.echo(f"report: {place.page}, and {place.record.name} beside it")
    return returned.passed


def _show(returned: "Returned") -> None:
    if not returned.passed:
        typer.echo(returned.banner)
    for line in returned.failures:
        typer.echo(f"FAIL  {line}")
    for line in returned.assumptions:
        typer.echo(f"taken: {line}")
    for line in returned.left_aside_texts:
        typer.echo(f"left aside: {line}")
    if returned.cause is not None:
        typer.echo(f"likely cause: {returned.cause}")
        typer.echo(f"  {returned.explanation}")
    photographed = any(image.photo for image in returned.images)
    columns = ["golden input", "returned dB", "needed", "our int8", "to our int8", "SSIM"]
    columns += ["PSNR to HR", "float's"] if photographed else []
    rows = [_row(image, photographed=photographed) for image in returned.images]
    title = f"{returned.model} on {returned.vendor}, {returned.precision}"
    if rows:
        means = [
            decibels(returned.mean_db(figure)) for figure in ("psnr_db", "ours_db", "between_db")
        ]
        blank = [""] * (len(columns) - 4)
        rows.append(["mean", means[0], "", means[1], means[2], *blank])
        print_table(f"{title}, beside our {returned.profile}", [*columns, "verdict"], rows)
    typer.echo(f"limit: {returned.limit.text}")
    typer.echo(returned.banner)


def _row(image: "ReturnedImage", *, photographed: bool) -> list[str]:
    row = [
        image.name,
        decibels(image.psnr_db),
        f"{image.required_db:.2f}",
        decibels(image.ours_db),
        decibels(image.between_db),
        f"{image.ssim:.4f}",
    ]
    if photographed:
        scores = (image.photo.returned, image.photo.float_model) if image.photo else ()
        row += [f"{score[0]:.3f}" for score in scores] or ["-", "-"]
    return [*row, image.verdict]
