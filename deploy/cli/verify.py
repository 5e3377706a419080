"""``esrdeploy verify``: a folder of builds in, a verdict per file out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.console import make_progress, print_json, print_table, reports_errors
from deploy.cli.options import AsJson

if TYPE_CHECKING:
    from deploy.verify import Verification


@reports_errors
def verify(
    path: Annotated[Path, typer.Argument(help="Folder with one or more builds.")] = Path("dist"),
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images to compare on, instead of the embedded sample. Images that "
            "were calibrated on are left out."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The checkpoint that was built from, if it was one of your own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Re-check every artifact under PATH; exit 1 if any fails."""
    from deploy.verify import verify_tree

    verifications = verify_tree(path, images=images, weights=weights, progress=make_progress())
    passed = all(item.passed for item in verifications)
    if as_json:
        print_json({"passed": passed, "builds": [item.record() for item in verifications]})
    else:
        for item in verifications:
            show_verification(item)
    if not passed:
        raise typer.Exit(1)


def show_verification(verification: "Verification") -> None:
    """Print the parity table of one build, then every check that did not pass."""
    rows = [
        [
            result.candidate,
            result.reference,
            f"{result.summary()['psnr_db_mean']:.2f}",
            f"{result.summary()['psnr_db_min']:.2f}",
            f"{result.summary()['ssim_mean']:.4f}",
            f"{result.summary()['max_abs_error']:.4f}",
            "pass" if result.passed else "FAIL",
        ]
        for result in verification.parity
    ]
    columns = ["file", "against", "parity dB mean", "min", "SSIM", "max error", "verdict"]
    print_table(f"{verification.model}: {verification.image_note}", columns, rows)
    for check in verification.checks:
        if check.status != "passed":
            label = "FAIL" if check.status == "failed" else "skipped"
            typer.echo(f"{label}  {check.artifact}  {check.name}: {check.detail}")
    counted = [check.status for check in verification.checks]
    typer.echo(
        f"{counted.count('passed')} checks passed, {counted.count('failed')} failed, "
        f"{counted.count('skipped')} skipped: "
        + ("verified" if verification.passed else "VERIFICATION FAILED")
    )
