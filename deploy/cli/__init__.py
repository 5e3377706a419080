"""Define the ``esrdeploy`` command line.

Each command is one file here. Their heavy imports stand inside the functions, so that
``esrdeploy --help`` answers without loading torch, onnxruntime or OpenCV.
"""

import sys
from functools import partial
from typing import Annotated

import typer

from deploy import __version__
from deploy.cli.bench import bench
from deploy.cli.build import build
from deploy.cli.calibrate import calibrate
from deploy.cli.compare import compare
from deploy.cli.degrade import degrade
from deploy.cli.doctor import doctor
from deploy.cli.entry import Commands, say_stopped
from deploy.cli.eval import evaluate
from deploy.cli.handoff import handoff
from deploy.cli.inspect import inspect
from deploy.cli.models import models
from deploy.cli.report import report
from deploy.cli.simulate import simulate
from deploy.cli.stopping import stopping
from deploy.cli.targets import targets
from deploy.cli.upscale import upscale
from deploy.cli.verify import verify

app = typer.Typer(
    name="esrdeploy",
    cls=Commands,
    help="Turn Real-ESRGAN weights into verified float, fp16 and int8 ONNX models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"esrdeploy {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # the callback acts on it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


app.command()(build)
app.command()(verify)
app.command()(models)
app.command()(targets)
app.command()(calibrate)
app.command("eval")(evaluate)
app.command()(compare)
app.command()(degrade)
app.command()(report)
app.command()(inspect)
app.command()(handoff)
app.command()(simulate)
app.command()(doctor)
app.command()(upscale)
app.command()(bench)


def main() -> None:
    """Run the command line and exit as deploy/cli/entry.py says."""
    with stopping(partial(say_stopped, sys.argv[1:])):
        app(prog_name="esrdeploy")
