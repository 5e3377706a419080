"""README.md tells the truth: its commands are run, its names exist.

Every ``esrdeploy`` line is run in order on a tiny network, in a folder that holds what the page
speaks of: photographs, a checkpoint, DIV2K. Placeholders in capitals stand for files made there.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from deploy.cli import app
from deploy.handoff.vendors import vendors
from quant.targets import PROFILES
from tests.pages import ROOT, commands_in, furnish, ran, return_ours

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^    \S.*\n)+", README, re.MULTILINE)
LINES = [line.partition(" #")[0].strip() for block in BLOCKS for line in block.splitlines()]
SPANS = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", README)]
COMMANDS = commands_in([*LINES, *SPANS])

ONE_SCREEN = 40
TIMED = ("animevideov3", "x4plus-anime-6b", "x4plus")


@pytest.fixture(scope="module")
def place(
    tiny_weights: Path, encoded_once: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder that the commands are run in."""
    folder = tmp_path_factory.mktemp("readme")
    furnish(folder, tiny_weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_page_begins_with_three_lines_times_and_words_on_one_screen() -> None:
    first = [line.split()[1] for line in BLOCKS[0].splitlines()]
    assert first == ["build", "verify", "handoff"]
    screen, _, rest = README.partition("\n## Words\n")
    words = re.findall(r"^- \*\*(.+?)\*\*: ", rest.partition("\n## ")[0], re.MULTILINE)
    assert len(screen.splitlines()) + rest.partition("\n## ")[0].count("\n") <= ONE_SCREEN
    times = next(part for part in screen.split("\n\n") if "seconds" in part).split()
    assert {*TIMED} <= {word.strip(",.") for word in times}
    used = rest.partition("\n## ")[2] + " ".join(
        path.read_text() for path in (ROOT / "docs").glob("*.md")
    )
    unused = [word for entry in words for word in entry.split(", ") if word not in used]
    assert len(words) > 10
    assert unused == []


def test_the_page_has_commands() -> None:
    commands = {command.split()[1] for command in COMMANDS if " " in command}
    assert commands - {"--help"} == set(typer.main.get_command(app).commands)


def test_every_command_runs_in_the_order_of_the_page(place: Path) -> None:
    for command in COMMANDS:
        if "--returned" in command:
            return_ours(place)
        result = ran(command)
        assert result.code == 0, f"{command}\n{result.output}\n{result.error!r}"
    assert (place / "dist/my-finetune/my-finetune-int8-qnn.onnx").is_file()
    assert (place / "dist/my-finetune-handoff.zip").is_file()
    named = {span for span in SPANS if span.startswith("x4plus-") and "." in span}
    named |= {"calibration.json", "calibration.npz", "parity.json", "manifest.json", "report.html"}
    assert named <= set(SPANS)
    assert {path.name for path in (place / "dist/tiny").iterdir()} == {
        name.replace("x4plus", "tiny") for name in named
    }


@pytest.mark.parametrize(
    "command",
    ["esrdeploy biuld", "esrdeploy verify --no-such-option", "esrdeploy inspect absent.onnx"],
    ids=["command", "option", "file"],
)
def test_a_command_that_does_not_exist_would_fail(command, place: Path) -> None:
    assert ran(command).code == 2


def test_every_option_exists() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", " ".join((*LINES, *SPANS))))
    group = typer.main.get_command(app)
    commands = (group, *group.commands.values())
    offered = {name for command in commands for param in command.params for name in param.opts}
    assert len(named) > 15
    assert named - offered == {"--help"}


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {w for line in (*LINES, *SPANS) for w in re.findall(r"^make (\w+)", line)}
    assert {"build", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_extra_exists() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    extras = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    named = set(re.findall(r"\.\[(\w+)\]|extra `(\w+)`", README))
    assert len(named) > 2
    for first, second in named:
        assert re.search(rf"^{first or second} = \[", extras, re.MULTILINE), (first, second)


def test_every_file_exists() -> None:
    named = [span for span in SPANS if re.match(r"(calib|quant|deploy|docs|tests)/", span)]
    assert len(named) > 3
    for path in named:
        assert (ROOT / path).exists(), path


def test_targets_and_vendors_are_all_there_are() -> None:
    sentence = re.search(r"`--target` takes (.*?);", README, re.DOTALL)
    row = re.search(r"`esrdeploy handoff --(?:target|vendor) NAME.*", README)
    assert sentence is not None
    assert row is not None
    assert set(re.findall(r"`([\w-]+)`", sentence[1])) == set(PROFILES)
    assert set(re.findall(r"`(\w+)`", row[0])) == set(vendors())
