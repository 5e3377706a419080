"""The shell completes what a command line may hold."""

import pytest
import typer.main
from typer.testing import CliRunner

from deploy.cli import app
from deploy.handoff.vendors import vendors
from deploy.network.known_models import MODELS
from quant.targets import PROFILES


def completed(line: str) -> list[str]:
    """Return what bash is offered at the end of a line."""
    words = line.split(" ")
    asked = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_ESRDEPLOY_COMPLETE": "complete_bash",
    }
    return CliRunner().invoke(app, [], prog_name="esrdeploy", env=asked).output.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("esrdeploy ", {*typer.main.get_command(app).commands}),
        ("esrdeploy build --tar", {"--target"}),
        ("esrdeploy build --precision ", {"fp32", "fp16", "int8"}),
        ("esrdeploy build --target ", {*PROFILES, "qualcomm"}),
        ("esrdeploy build --target qnn", {"qnn", "qnn-w8a16"}),
        ("esrdeploy build --model ", {entry.name for entry in MODELS}),
        ("esrdeploy handoff --vendor ", {*vendors(), "nvidia"}),
        ("esrdeploy handoff --vendor nothing", set()),
    ],
    ids=["command", "option", "choice", "target", "beginning", "model", "vendor", "none"],
)
def test_a_line_is_completed(line: str, offered: set[str]) -> None:
    found = {*completed(line)}
    assert offered <= found
    assert bool(found) == bool(offered)
