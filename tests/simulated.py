"""A toolchain that every machine has: its environment is empty, its driver moves golden outputs.

Tests put it in the place of a real one, which would be fetched, and let it do what toolchains do:
work, fail, crash, hang, leave an output out.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.simulate import environment, toolchains
from deploy.simulate.toolchain import Environment, Route, Stage, Toolchain, float_file

WORKS = """
Path(job["work"], "ready").touch()
for name in job["inputs"]:
    target = out / f"{name}.npy"
    if not target.exists():
        kind = "float" if job["route"] == "float" else int8
        target.write_bytes(moved((bundle / "golden" / kind / f"{name}.npy").read_bytes()))
        print(name, flush=True)
"""
START = """
import array, json, os, sys, time
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text())
bundle, out = Path(job["bundle"]), Path(job["out"])
(int8, *_) = sorted(path.name for path in (bundle / "golden").glob("int8-*"))
assert Path(job["model"]).is_file()


def moved(content):
    head = 10 + int.from_bytes(content[8:10], "little")
    values = array.array("f", content[head:])
    return content[:head] + array.array("f", [value + 1e-5 for value in values]).tobytes()

"""
EMPTY = Environment((), (f"{sys.version_info.major}.{sys.version_info.minor}",), 0)


def lacking(_: object) -> None:
    return None


def stand_in(folder: Path, name: str = "fake", behaviour: str = WORKS) -> Toolchain:
    """Return a toolchain with routes float and int8, and one that no bundle has the file for.

    Args:
        folder: for its driver.
        name: of the toolchain.
        behaviour: Python, behind :data:`START`.
    """
    driver = folder / f"{name}_driver.py"
    driver.write_text(START + behaviour)
    routes = (
        Route("float", "the float file", "fp32", float_file, "--vendor vacc"),
        Route("int8", "the int8 file", "int8", float_file, "--vendor vacc"),
        Route("other", "no file", "int8", lacking, "--vendor nobody"),
    )
    return Toolchain(
        name,
        "no chip",
        "a script that moves golden outputs a little",
        "none",
        routes,
        (Stage("build", driver, EMPTY), Stage("run", driver, EMPTY)),
    )


def put_in_place(patch: pytest.MonkeyPatch, folder: Path, *stand_ins: Toolchain) -> None:
    """Let toolchains be known under their names, and environments lie in a folder."""
    known = {**toolchains.toolchains(), **{one.name: one for one in stand_ins}}
    patch.setattr(toolchains, "toolchains", lambda: known)
    patch.setattr(environment, "toolchains_folder", lambda: folder)


def of_one_stage(toolchain: Toolchain) -> Toolchain:
    """Return the same toolchain without the stage that builds."""
    return replace(toolchain, stages=toolchain.stages[-1:])
