"""README.md tells the truth: its commands are run, and those of the table that it links.

Every ``esrdeploy`` line of README.md and docs/commands.md is run in order on a tiny network, in a
folder that holds what the pages speak of: photographs, a checkpoint, DIV2K. Placeholders in
capitals stand for files made there.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from deploy.cli import app
from deploy.handoff.vendors import vendors
from quant.targets import PROFILES
from tests.pages import ROOT, furnish, lines_in, ran, readme_commands, return_ours, spans_in
from tests.simulated import put_in_place, stand_in

README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
FILES = (ROOT / "docs/build-folder.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")
COMMANDS = readme_commands()

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
        put_in_place(patch, folder / "environments", stand_in(folder, "openvino"))
        yield folder


def test_the_page_begins_with_three_lines_times_and_words_on_one_screen() -> None:
    first = [line.split()[1] for line in lines_in(README)[:3]]
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


def test_the_commands_are_all_there_are() -> None:
    commands = {command.split()[1] for command in COMMANDS if " " in command}
    there_are = set(typer.main.get_command(app).commands)
    assert commands - {"--install-completion"} == there_are
    assert {name for name in there_are if f"| `esrdeploy {name}" in TABLE} == there_are


def test_every_command_runs_in_the_order_of_the_page(place: Path) -> None:
    for command in COMMANDS:
        if "--install-completion" in command:
            continue  # tests/deploy/cli/test_completion.py does it
        if "--returned" in command:
            return_ours(place)
        result = ran(command)
        assert result.code == 0, f"{command}\n{result.output}\n{result.error!r}"
    assert (place / "dist/my-finetune/my-finetune-int8-qnn.onnx").is_file()
    assert (place / "dist/my-finetune-qnn-handoff.zip").is_file()
    named = {span for span in spans_in(FILES) if re.fullmatch(r"[\w-]+(\.[a-z]+)+", span)}
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


def test_figures_are_those_of_the_results() -> None:
    """Parity and change of each network: ours in the ort file, and the best of the others'."""
    for column, network in enumerate(("x4plus-anime-6b", "x4plus")):
        measured = RESULTS[RESULTS.index(f"\n### {network}\n") :].partition("\n\n")[2]
        rows = re.findall(r"^\| (.+) \|$", measured.partition("\n\n")[0], re.MULTILINE)
        figures = {
            cells[0]: (float(cells[5]), float(cells[2]))
            for cells in (row.split(" | ") for row in rows[2:])
        }
        others = [pair for name, pair in figures.items() if not name.startswith("esrdeploy")]
        assert len(others) == 4
        best = (max(parity for parity, _ in others), max(change for _, change in others))
        for row, (parity, change) in (
            ("esrdeploy, target `ort`", figures["esrdeploy `ort`"]),
            ("best figure of the other toolkits measured", best),
        ):
            (told,) = re.findall(rf"^\| {re.escape(row)} \| (.+) \|$", README, re.MULTILINE)
            assert told.split(" | ")[column] == f"{parity:.1f} dB, {change:+.2f} dB"


def test_the_speed_of_the_ort_files_is_that_of_the_results() -> None:
    speed = RESULTS[RESULTS.index("\n## Speed\n") :].partition("\n### ")[0]
    for setting, words in (
        ("default", "run {} times as fast as float"),
        ("full-integer", "with `--full-integer` {}."),
    ):
        rows = re.findall(rf"^\| {setting}/\S+-int8-ort\.onnx \| (.+) \|$", speed, re.MULTILINE)
        times = [float(row.split(" | ")[4]) for row in rows]
        assert len(times) >= 3
        assert words.format(f"{min(times):.1f} to {max(times):.1f}") in README


def test_targets_and_vendors_are_all_there_are() -> None:
    guide = (ROOT / "docs/guides/quantization.md").read_text(encoding="utf-8")
    sentence = re.search(r"`--target` takes (.*?);", guide, re.DOTALL)
    row = re.search(r"`esrdeploy handoff --vendor NAME.*", TABLE)
    assert sentence is not None
    assert row is not None
    assert set(re.findall(r"`([\w-]+)`", sentence[1])) == set(PROFILES)
    assert set(re.findall(r"`(\w+)`", row[0])) == set(vendors())
