"""Every ``--json`` document names its schema, and says in the screen's words what the screen says.

Each command is run twice, for people and with ``--json``. A column of a table that people see is a
key of the document, spelled by the rule of ``docs/json.md`` or standing in its table.
"""

import json
import re
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.table import Table
from skimage import data

from calib.images import resize_area, write_image
from calib.sample import sample_patches
from deploy.cli import app, console
from deploy.cli.entry import INTERRUPTED
from deploy.cli.layout import column_widths, folded, padding_and_room
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.runtime.runner import model_runner
from tests.deploy.builds import run
from tests.simulated import put_in_place, stand_in

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "json.md").read_text()
COMMANDS = typer.main.get_command(app).commands
SCHEMA = re.compile(r"esrdeploy\.[a-z.-]+/\d+")

# By document: the command that prints it. Words in braces are paths of the fixture ``place``.
DOCUMENTS = {
    "esrdeploy.cli.build/2": "build {own} --precision fp32 --no-report --replace --out {out}",
    "esrdeploy.cli.verify/2": "verify {build} --images {pictures} --layers --backend ort",
    "esrdeploy.cli.models/2": "models",
    "esrdeploy.cli.targets/2": "targets",
    "esrdeploy.cli.calibrate/3": "calibrate {own} --calib-count 1 --replace --out {out}",
    "esrdeploy.eval/1": "eval --data {div2k} --builds {builds} --precision fp32 --out {out}",
    "esrdeploy.cli.compare/1": "compare {pictures} --builds {builds}",
    "esrdeploy.cli.report/2": "report {build} --images {pictures}",
    "esrdeploy.cli.inspect/2": "inspect {model} --nodes --ranges",
    "esrdeploy.cli.inspect-folder/2": "inspect {build}",
    "esrdeploy.cli.degrade/1": "degrade {pictures} {out}/pairs --crop 64",
    "esrdeploy.cli.upscale/1": "upscale {pictures} {out}/enlarged --model {build}",
    "esrdeploy.cli.bench/1": "bench --model {build} --backend ort --tile 32 --rounds 1",
    "esrdeploy.cli.doctor/1": "doctor --out {out}",
    "esrdeploy.cli.handoff/2": "handoff --vendor vacc --out {out}/b.zip {build}",
    "esrdeploy.cli.handoff-check/2": "handoff --check {zip}",
    "esrdeploy.cli.simulate/1": "simulate --target fake --first 1 --out {out}/fake --yes {zip}",
    "esrdeploy.returned/3": "verify --returned {returned} {zip} --report {out}/r.html",
}


# Documents that other tests print: of whoever is refused, and of a signature (artifacts/).
ELSEWHERE = {"esrdeploy.cli.error/1", "esrdeploy.cli.verify-signature/1"}


def mapping() -> dict[tuple[str, str], str]:
    """Return by document and column the key that the page's table gives it."""
    rows = re.findall(r"^\| `([a-z.-]+)` \| ([^|]+) \| `([a-z0-9_]+)` \|$", PAGE, re.MULTILINE)
    return {(document, column.strip()): key for document, column, key in rows}


# Documents of commands that print lines and no table; a build's tables are those of `verify`.
LINES_ALONE = {"build", "degrade", "upscale", "calibrate", "report", "handoff-check"}
# Columns that a return without photographs does not show.
HIDDEN = {"returned": {"PSNR to HR", "float's"}}


def spelled(column: str) -> str:
    """Return the key of a column by the page's rule."""
    return re.sub(r"[^a-z0-9]+", "_", column.lower().replace("'s", "")).strip("_")


def keys_of(value: object) -> set[str]:
    """Return every key anywhere in a document."""
    if isinstance(value, dict):
        return {*value, *(key for item in value.values() for key in keys_of(item))}
    return {key for item in value for key in keys_of(item)} if isinstance(value, list) else set()


@pytest.fixture(scope="module")
def place(
    vacc_only: Path, small_build: Path, tiny_x2_weights: Path, tmp_path_factory
) -> Iterator[dict[str, str]]:
    """What the commands name."""
    folder = tmp_path_factory.mktemp("documents")
    build = Path(shutil.copytree(small_build, folder / "dist" / "small"))
    lr, hr = folder / "div2k/DIV2K_valid_LR_bicubic", folder / "div2k/DIV2K_valid_HR"
    for path in (lr / "X2", lr / "X4", hr, folder / "pictures", folder / "returned"):
        path.mkdir(parents=True)
    write_image(hr / "0801.png", resize_area(data.coffee(), 256, 256))
    write_image(lr / "X2" / "0801x2.png", resize_area(data.coffee(), 128, 128))
    write_image(lr / "X4" / "0801x4.png", resize_area(data.coffee(), 64, 64))
    (patch,) = sample_patches("verification", 1).patches
    write_image(folder / "pictures" / "one.png", patch.load())
    with zipfile.ZipFile(vacc_only) as archive:
        archive.extractall(folder / "bundle")
    manifest = read_contents(folder / "bundle")
    (int8_model,) = manifest.int8_models.values()
    compute = model_runner(folder / "bundle" / int8_model, optimized=False)
    for vector in manifest.golden:
        found = compute(np.load(folder / "bundle" / golden_path("input", vector.name)))
        np.save(folder / "returned" / f"{vector.name}.npy", found)
    words = {
        "own": f"--model small --weights {tiny_x2_weights}",
        "build": str(build),
        "builds": str(build.parent),
        "model": str(build / "small-int8-openvino.onnx"),
        "zip": str(vacc_only),
        "div2k": str(folder / "div2k"),
        "pictures": str(folder / "pictures"),
        "returned": str(folder / "returned"),
        "out": str(folder / "out"),
    }
    with pytest.MonkeyPatch.context() as patch:
        put_in_place(patch, folder / "environments", stand_in(folder))
        yield words


NARROW = 100  # columns of a terminal, in which no word is broken
NARROWEST = 80  # in which words are broken between their parts alone
WIDE = {"eval"}  # has the columns of VastAI's table, and is written as a file too


@pytest.fixture(scope="module")
def tables() -> Iterator[list[list[list[str]]]]:
    """The texts of every column of every table that is printed, in a terminal of 100 columns."""
    seen: list[list[list[str]]] = []

    def remembered(texts: list[list[str]], room: int) -> list[int | None]:
        seen.append(texts)
        return column_widths(texts, room)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "column_widths", remembered)
        patch.setattr(console, "table_width", lambda: NARROW)
        patch.setattr(console, "terminal_width", lambda _: NARROW)
        yield seen


@pytest.fixture(scope="module")
def columns() -> Iterator[list[str]]:
    """The columns of every table that is printed, until the list is cleared."""
    seen: list[str] = []
    add = Table.add_column

    def remembered(table: Table, header: str = "", *arguments: object, **options: object) -> None:
        seen.append(header)
        add(table, header, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "add_column", remembered)
        yield seen


def require_sensibly_folded(table: list[list[str]], columns: int) -> None:
    """Make sure that every word fits its column, and is broken where its parts end."""
    _, room = padding_and_room(table, columns)
    for column, width in zip(table, column_widths(table, room), strict=True):
        for word in (word for text in column for word in text.split()):
            if width is not None:
                lines = folded(word, width).splitlines()
                assert max(map(len, lines)) <= width, (word, width)
                for before, after in pairwise(lines):
                    assert before[-1] in "-_/" or after[0] == ".", (word, lines)


@pytest.mark.parametrize("schema", DOCUMENTS)
def test_a_document_says_what_the_screen_says(
    schema: str, place: dict[str, str], columns: list[str], tables: list[list[list[str]]]
) -> None:
    words = shlex.split(DOCUMENTS[schema].format(**place))
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["schema"] == schema
    name = schema.removeprefix("esrdeploy.").removeprefix("cli.").partition("/")[0]
    if name in LINES_ALONE:
        return
    columns.clear()
    tables.clear()
    shown = run(*words)
    assert shown.exit_code == 0, shown.output
    assert columns
    printed = [line for line in shown.stdout.splitlines() if line and line[0] in "\u2502\u2503"]
    assert printed
    assert max(map(len, printed)) <= NARROW
    folder = str(Path(place["out"]).parent)
    copied = ("next: ", "sha256 ")  # lines that are copied as they stand
    prose = [line for line in shown.stdout.splitlines() if folder not in line]
    assert all(len(line) <= NARROW or line.startswith(copied) for line in prose)
    whole = {word for line in printed for word in line.split()}
    texts = [text for table in tables for column in table for text in column]
    broken = {word for text in texts for word in text.split()} - whole
    assert name in WIDE or {word for word in broken if folder not in word} == set()
    if name not in WIDE:
        for table in tables:
            require_sensibly_folded(table, NARROWEST)
    known, keys = mapping(), keys_of(document)
    missing = {
        column: key
        for column in filter(None, columns)
        if (key := known.get((name, column), spelled(column))) not in keys
    }
    assert missing == {}
    unused = {column for named, column in known if named == name} - {*columns}
    assert unused == HIDDEN.get(name, set())


def test_every_command_has_a_document_and_every_document_is_told_of() -> None:
    assert {line.split()[0] for line in DOCUMENTS.values()} == {*COMMANDS}
    told = set(re.findall(rf"^\| `({SCHEMA.pattern})` \|", PAGE, re.MULTILINE))
    assert told == {*DOCUMENTS, *ELSEWHERE}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interrupted_command_leaves_one_document(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    group = typer.main.get_command(app)
    group.commands[command].callback = interrupted
    needed = [param for param in group.commands[command].params if param.required]
    options = [one for one in needed if one.param_type_name == "option"]
    words = [word for one in options for word in (one.opts[0], "x")]
    words += ["x"] * (len(needed) - len(options))
    with pytest.raises(SystemExit) as ended:
        group.main([command, *words, "--json"], prog_name="esrdeploy")
    assert ended.value.code == INTERRUPTED
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "esrdeploy.cli.error/1"
    assert (document["command"], document["exit_code"]) == (command, INTERRUPTED)
    assert document["error"]["kind"] == "Interrupted"
