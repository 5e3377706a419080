"""Run ``esrdeploy report``: make the page of every build in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.console import make_progress, print_json
from deploy.cli.options import AsJson


def report(
    path: Annotated[Path, typer.Argument(help="Folder with one or more builds.")] = Path("dist"),
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds your own pictures that the build was verified on, to show "
            "them instead of the embedded sample."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make report.html of every build under PATH; exit 1 if one shows a failure."""
    from deploy.artifacts.files import MANIFEST_NAME
    from deploy.artifacts.find_build import find_builds
    from deploy.artifacts.manifest import read_manifest
    from deploy.report import REPORT_NAME, remake_report

    progress = make_progress()
    manifests = {folder: read_manifest(folder / MANIFEST_NAME) for folder in find_builds(path)}
    made = {folder: remake_report(folder, progress, images) for folder in manifests}
    if as_json:
        shown = [
            {
                "report": str(folder / REPORT_NAME),
                "size_bytes": (folder / REPORT_NAME).stat().st_size,
                "verdict": _verdict(passed),
                "passed": passed,
            }
            for folder, passed in made.items()
        ]
        passed = all(made.values())
        print_json("esrdeploy.cli.report/2", {"passed": passed, "reports": shown})
    else:
        for folder, passed in made.items():
            size_mb = (folder / REPORT_NAME).stat().st_size / 1e6
            typer.echo(f"{size_mb:9.2f} MB  {folder / REPORT_NAME}  {_verdict(passed)}")
    if not all(made.values()):
        raise typer.Exit(1)


def _verdict(passed: bool) -> str:
    return "verified" if passed else "NOT VERIFIED"
