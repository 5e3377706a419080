"""Command lines that lie: every option of every command is given what it cannot mean."""

import math
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from deploy.cli import app
from tests.deploy.hostile.hostile import refusal, require

COMMANDS = typer.main.get_command(app).commands
# What each command is given besides: enough that it would begin.
GOOD = {
    "build": "--model tiny --weights {weights} --out {folder}/out",
    "verify": "{build}",
    "models": "",
    "targets": "",
    "calibrate": "--model tiny --weights {weights} --out {folder}/out",
    "eval": "--data {folder} --builds {build}",
    "report": "{build}",
    "inspect": "{build}",
    "handoff": "{build} --vendor vacc --out {folder}/x.zip",
    "upscale": "{folder} {folder}/out --builds {build}",
    "bench": "--builds {build}",
    "simulate": "{build} --target openvino",
}
WORDS = {
    "int": ("nan", "1.5", "-1", "1e3", "0x10", str(10**30), "ten"),
    "float": ("nan", "-nan", "inf", "-inf", "1e999", "ten", "-1"),
}
# Numbers that an option takes at any size.
TAKEN = {
    ("build", "--seed", str(10**30)),
    ("build", "--calib-count", str(10**30)),
    ("calibrate", "--seed", str(10**30)),
    ("calibrate", "--calib-count", str(10**30)),
    ("eval", "--count", str(10**30)),
    ("simulate", "--first", str(10**30)),
    *(("degrade", flag, str(10**30)) for flag in ("--count", "--crop", "--seed")),
}


def options() -> Iterator[tuple[str, str, str]]:
    """Yield command, option and a word that the option cannot be given."""
    kinds = {info.name or info.callback.__name__: info for info in app.registered_commands}
    for name, command in COMMANDS.items():
        hints = typing.get_type_hints(kinds[name].callback)
        for parameter in command.params:
            flag, hint = parameter.opts[0], str(hints.get(parameter.name))
            if "bool" in hint or not flag.startswith("--"):
                continue
            for kind, words in WORDS.items():
                if re.search(rf"\b{kind}\b", hint):
                    yield from ((name, flag, word) for word in words)
            if "Choice" in hint or "Literal" in hint:
                yield name, flag, "abacus"
            yield name, flag, ""
            yield name, flag, "  "


CASES = [case for case in options() if case not in TAKEN]


@pytest.fixture
def names(small_build: Path, tiny_weights: Path) -> dict[str, object]:
    return {"build": small_build, "weights": tiny_weights}


def test_the_walk_meets_every_command_and_both_kinds_of_number() -> None:
    assert {name for name, _, _ in CASES} >= set(GOOD) - {"targets"}
    assert set(GOOD) <= set(COMMANDS)
    assert {("build", "--percentile", "nan"), ("handoff", "--count", "-1")} <= {*CASES}
    assert len(CASES) > 150


@pytest.mark.parametrize(("command", "flag", "word"), CASES, ids=map(" ".join, CASES))
def test_options(
    command: str, flag: str, word: str, names: dict[str, object], tmp_path: Path
) -> None:
    refused = refusal(f"{command} {GOOD.get(command, '')} {flag} '{word}'", tmp_path, names)
    require(
        refused, file="", says=f"{flag}|{flag[2:].replace('-', '.?')}|{word or 'empty'}", code=2
    )


SPECIAL: dict[str, tuple[str, str]] = {
    "a name with a step": ("build --model tiny --weights {weights} --name a/b", "a/b"),
    "a name of dots": ("build --model tiny --weights {weights} --name ..", r"\.\."),
    "a name of 300 letters": (
        "build --model tiny --weights {weights} --name " + "x" * 300, "at most 100",
    ),
    "a model with a step": ("build --model ../tiny --weights {weights}", "tiny"),
    "a size of one side and a half": ("build --model tiny --weights {weights} --size 1x", "1x"),
    "a size of 10^9": ("build --model tiny --weights {weights} --size 1000000000", "1000000000"),
    "a size below 0": ("build --model tiny --weights {weights} --size=-8", "-8"),
    "a batch of 10^9": ("build --model tiny --weights {weights} --batch 1000000000", "batch"),
    "a file for a folder": ("build --model tiny --weights {weights} --out {weights}", "output"),
    "a folder that cannot be made": (
        "build --model tiny --weights {weights} --out /proc/none", "/proc/none",
    ),
    "a folder for weights": ("build --model tiny --weights {build}", "a folder"),
    "a device for weights": ("build --model tiny --weights /dev/zero", "/dev/zero"),
    "a device for a model": ("inspect /dev/zero", "/dev/zero"),
    "a device for a bundle": ("handoff --check /dev/zero", "/dev/zero"),
    "a device for a table": (
        "build --model tiny --weights {weights} --calib-table /dev/zero", "/dev/zero",
    ),
    "a scheduler that is none": (
        "build --model tiny --weights {weights} --out {folder}/out --scheduler nowhere", "nowhere",
    ),
    "10^9 workers": (
        "build --model tiny --weights {weights} --out {folder}/out --workers 1000000000", "workers",
    ),
    "a quantization of NaN": (
        "verify --returned {folder} {build} --output-quantization int8:nan:0", "nan",
    ),
    "a quantization of 2^80": (
        f"verify --returned {{folder}} {{build}} --output-quantization int8:1:{1 << 80}", "32 bits",
    ),
    "a quantization of words": (
        "verify --returned {folder} {build} --output-quantization a:b:c", "a:b:c",
    ),
    "an unknown command": ("biuld --model tiny", "biuld"),
    "an unknown option": ("build --modle tiny", "modle"),
    "an option without its value": ("build --model", "model"),
    "a word too many": ("inspect {build} {build}", "unexpected"),
    "a node that is none": (
        "build --model tiny --weights {weights} --out {folder}/out --fp16-keep absent", "absent",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "says"), SPECIAL.values(), ids=SPECIAL)
def test_command_lines(
    line: str, says: str, names: dict[str, object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if "fp16-keep" in line:  # nodes are known when the network is exported
        monkeypatch.undo()
    require(refusal(line, tmp_path, names), file="", says=says, code=2)


def test_a_percentile_is_a_number() -> None:
    assert math.isnan(float("-nan"))  # what the parser makes of the words above
    assert math.isinf(float("1e999"))
