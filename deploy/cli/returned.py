"""Run ``esrdeploy verify --returned``: judge a vendor's outputs against the bundle."""

from pathlib import Path
from typing import TYPE_CHECKING

from calib.errors import UsageError
from deploy.cli.console import make_progress, print_json, print_table, say
from deploy.metrics.decibels import decibels
from deploy.progress import Progress

if TYPE_CHECKING:
    from deploy.artifacts.signature import Signer
    from deploy.handoff.returned.image_verdict import ReturnedImage
    from deploy.handoff.returned.place import Place
    from deploy.handoff.returned.request import ReturnedRequest
    from deploy.handoff.returned.verdict import Returned


def verify_returned(
    request: "ReturnedRequest", report: Path | None, signer: "Signer | None", *, as_json: bool
) -> bool:
    """Judge what was returned and print the verdict; say whether it is good.

    Raises:
        UsageError: the report has no place, or what is to be signed cannot be kept.
    """
    from deploy.handoff.returned.judge import judge_returned
    from deploy.handoff.returned.place import asked_place
    from deploy.handoff.returned.verdict import SCHEMA

    asked = None if report is None else asked_place(report, request.folder)
    progress = make_progress()
    returned = judge_returned(request, progress)
    written = _keep(returned, request.folder, asked, signer, progress)
    if as_json:
        progress.note(written)
        print_json(SCHEMA, returned.record())
    else:
        _show(returned)
        say(written)
    return returned.passed


def _keep(
    returned: "Returned",
    folder: Path,
    asked: "Place | None",
    signer: "Signer | None",
    progress: Progress,
) -> str:
    """Write the verdict and say in one line where, or why not where nobody asked for it.

    Raises:
        UsageError: the place or the signature that was asked for cannot be had.
    """
    from deploy.handoff.returned.place import place_here
    from deploy.handoff.returned.report import write_report

    try:
        place = asked or place_here(returned.model, returned.vendor, folder)
        write_report(returned, place)
    except (UsageError, OSError) as error:
        if asked is not None or signer is not None:
            raise
        return f"the verdict was not kept: {error}"
    for note in place.notes:
        progress.note(note)
    if signer is not None:
        progress.note(f"signed: {signer.sign(place.record)}")
    return f"report: {place.page}, and {place.record.name} beside it"


def _show(returned: "Returned") -> None:
    if not returned.passed:
        say(returned.banner)
    for line in returned.failures:
        say(f"FAIL  {line}")
    for line in returned.assumptions:
        say(f"taken: {line}")
    for line in returned.left_aside_texts:
        say(f"left aside: {line}")
    if returned.cause is not None:
        say(f"likely cause: {returned.cause}")
        say(f"  {returned.explanation}")
    photographed = any(image.photo for image in returned.images)
    columns = ["golden input", "returned dB", "needed", "our int8", "to our int8", "SSIM"]
    columns += ["PSNR to HR", "float's"] if photographed else []
    rows = [_row(image, photographed=photographed) for image in returned.images]
    title = f"{returned.model} on {returned.vendor}, {returned.precision}"
    if rows:
        figures = ("psnr_db", "ours_db", "between_db")
        means = [decibels(returned.mean_db(figure)) for figure in figures]
        if any(image.broken for image in returned.images):
            means[0] = means[2] = "NaN"
        blank = [""] * (len(columns) - 4)
        rows.append(["mean", means[0], "", means[1], means[2], *blank])
        print_table(f"{title}, beside our {returned.profile}", [*columns, "verdict"], rows)
    say(f"limit: {returned.limit.text}")
    say(returned.banner)


def _row(image: "ReturnedImage", *, photographed: bool) -> list[str]:
    figures = [decibels(image.psnr_db), decibels(image.between_db), f"{image.ssim:.4f}"]
    returned, between, alike = ["NaN"] * 3 if image.broken else figures
    required, ours = f"{image.required_db:.2f}", decibels(image.ours_db)
    row = [image.name, returned, required, ours, between, alike]
    if photographed:
        scores = (image.photo.returned, image.photo.float_model) if image.photo else ()
        row += [f"{score[0]:.3f}" for score in scores] or ["-", "-"]
    return [*row, image.verdict]
