"""Run ``esrdeploy doctor``: say what is installed, and what this machine can do."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.console import print_json, print_table, say
from deploy.cli.options import AsJson


def doctor(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where builds are to go: is there room?")
    ] = Path("dist"),
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what this machine can do, and what to do about what is missing.

    Exit code 1 where no build can be made.
    """
    from deploy.doctor import examine

    found = examine(out)
    if as_json:
        print_json("esrdeploy.cli.doctor/1", found.record())
    else:
        rows = [[one.what, one.status, one.found] for one in found.findings]
        print_table("this installation", ["what", "status", "found"], rows)
        for one in found.findings:
            if one.to_do:  # on a line of its own, to be copied
                say(f"{one.what}: {one.to_do}")
        say(
            "ready: esrdeploy build --model x4plus-anime-6b --precision int8"
            if found.works
            else "no build can be made before what is broken is mended"
        )
    raise typer.Exit(0 if found.works else 1)
