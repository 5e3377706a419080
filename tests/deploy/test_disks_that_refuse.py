"""Disks that are full, folders that cannot be made or that vanish: every command that writes.

Each ends with exit 2 and one line, and leaves nothing of what it was about to write.
"""

import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer

from calib import files
from calib.errors import UsageError
from calib.images import write_image
from calib.sample import sample_patches
from calib.tile import Size
from deploy.cli import app
from deploy.handoff.bundle_zip import opened
from deploy.network.weights import download
from deploy.progress import Silent
from deploy.simulate.environment import Place, make_environment
from deploy.upscale.bench import Candidate
from tests.deploy.builds import copied, run
from tests.deploy.hostile.hostile import snapshot
from tests.simulated import EMPTY, put_in_place, stand_in

OWN = "--weights {weights} --calib-count 1 --rounding nearest"
# Words in braces are paths: {out} is what the disk refuses, the rest is there.
WRITE = {
    "build": f"build --model tiny {OWN} --no-report --out {{out}}",
    "calibrate": "calibrate --model tiny --weights {weights} --calib-count 1 --out {out}",
    "degrade": "degrade {photos} {out}",
    "eval": "eval --data {pairs} --builds {builds} --shape source --precision fp32 --out {out}",
    "handoff": "handoff --vendor vacc {small} --out {out}/bundle.zip",
    "report": "report {out}",
    "upscale": "upscale {photos}/photo.png {out}/photo.png --builds {builds} --backend ort",
    "verify": "verify --returned {returned} {bundle} --report {out}/verdict.html",
    "simulate": "simulate --target fake --first 1 --yes {bundle} --out {out}/fake",
    "models": "models --download general-x4v3",
}
READ_ONLY = {"compare", "doctor", "inspect", "targets"}
IN_TEMPORARY = {"bench"}  # writes nothing else: test_a_full_disk_of_temporary_folders
SMALLER_THAN_ANY_FILE = 64


@pytest.fixture(scope="module")
def there(
    built: Path, small_build: Path, tiny_weights: Path, vacc_only: Path, tmp_path_factory
) -> dict[str, Path]:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("there")
    (folder / "photos").mkdir()
    (patch,) = sample_patches("verification", 1).patches
    write_image(folder / "photos" / "photo.png", patch.load())
    made = run("degrade", folder / "photos", folder / "pairs")
    assert made.exit_code == 0, made.output
    (folder / "returned").mkdir()
    with opened(vacc_only) as root:
        for path in (root / "golden" / "float").iterdir():
            np.save(folder / "returned" / path.name, np.load(path))
    paths = {name: folder / name for name in ("photos", "pairs", "returned")}
    more = {"weights": tiny_weights, "builds": built.parent, "small": small_build}
    return {**paths, **more, "bundle": vacc_only}


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of a toolchain that is not fetched, made while there is room."""
    folder = tmp_path_factory.mktemp("environments")
    place = Place.of("fake", EMPTY)
    place = replace(place, folder=folder / place.folder.name, base=Path(sys.executable))
    make_environment(place, folder / "install.log", 60.0, Silent())
    return folder


@contextmanager
def full_disk(_: Path) -> Iterator[None]:
    """Let every file end after a few bytes, whoever writes it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALLER_THAN_ANY_FILE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def vanishing(out: Path) -> Iterator[None]:
    """Let the folder be gone when the first file in it is whole."""
    settle = files.settle

    def gone(part: Path, path: Path) -> None:
        shutil.rmtree(out, ignore_errors=True)
        settle(part, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "settle", gone)
        patch.setattr(download, "settle", gone)
        yield


def refused(name: str, out: Path, there: dict[str, Path]) -> str:
    """Run a command whose disk refuses; return the line that it says."""
    words = [word.format(out=out, **there) for word in WRITE[name].split()]
    result = run(*words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    (line,) = (one for one in result.stderr.splitlines() if one.startswith("esrdeploy: "))
    return line


@pytest.fixture
def out(
    built: Path, request: pytest.FixtureRequest, environments: Path, tmp_path: Path, monkeypatch
) -> Path:
    """The folder that a command writes to; for reports it holds a build."""
    folder, name = tmp_path / "out", request.node.callspec.params["name"]
    if name == "report":
        copied(built, folder)
        (folder / "report.html").unlink()
    else:
        folder.mkdir()
    monkeypatch.setattr(download, "cache_folder", lambda: folder)
    monkeypatch.setattr(download, "_fetch", lambda _, part, __: part.write(bytes(99)) or "0")
    monkeypatch.setattr(download, "_require_digest", lambda *_: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put_in_place(monkeypatch, environments, stand_in(environments))
    return folder


def test_every_command_that_writes_is_tried() -> None:
    commands = typer.main.get_command(app).commands
    assert {*WRITE, *READ_ONLY, *IN_TEMPORARY} == {*commands}


@pytest.mark.parametrize("name", WRITE)
def test_a_full_disk(name: str, out: Path, there: dict[str, Path]) -> None:
    before = snapshot(out.parent)
    with full_disk(out):
        line = refused(name, out, there)
    assert "File too large" in line or "cannot write" in line, line
    assert {*snapshot(out.parent)} == {*before}


def test_a_full_disk_of_temporary_folders(small_build: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pair = Candidate(small_build / "small-fp32.onnx", "fp32", "ncnn", 2, Size(128, 128), None)
    with full_disk(tmp_path), pytest.raises(UsageError, match=r"cannot write .*model\.param"):
        pair.load()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", WRITE)
def test_a_folder_that_vanishes(name: str, out: Path, there: dict[str, Path]) -> None:
    with vanishing(out):
        line = refused(name, out, there)
    assert "No such file" in line, line
    assert not out.exists()


@pytest.mark.parametrize("name", [name for name in WRITE if name != "report"])
def test_a_folder_that_cannot_be_made(name: str, out: Path, there: dict[str, Path]) -> None:
    out.rmdir()
    out.touch()
    line = refused(name, out / "below", there) if name != "models" else refused(name, out, there)
    assert str(out) in line, line
    assert out.read_bytes() == b""
