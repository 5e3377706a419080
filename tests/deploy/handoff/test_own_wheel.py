"""The wheel of a bundle is this package, and can be installed and run."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import deploy
from calib.errors import UsageError
from deploy.handoff import own_wheel
from deploy.handoff.own_wheel import write_own_wheel

ROOT = Path(deploy.__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_wheel(tmp_path_factory.mktemp("wheel"))


def test_it_holds_every_source_file_and_nothing_of_the_machine(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert not any(str(ROOT).encode() in archive.read(name) for name in names)
        assert not any(str(Path.home()).encode() in archive.read(name) for name in names)
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("calib", "deploy", "quant")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(sources) > 200
    facts = {name for name in names if ".dist-info/" in name}
    assert names - facts == sources
    assert {Path(name).name for name in facts} == {
        "METADATA", "WHEEL", "RECORD", "LICENSE", "entry_points.txt",
    }  # fmt: skip
    assert wheel.stat().st_size < 1_000_000


def test_made_twice_it_has_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert write_own_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_pip_installs_it_and_the_command_runs(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    command += ["--disable-pip-version-check", "--target", target, wheel]
    subprocess.run(command, check=True, capture_output=True)
    environment = {"PYTHONPATH": str(target), "PATH": ""}
    done = subprocess.run(
        [sys.executable, target / "bin" / "esrdeploy", "handoff", "--help"],
        env=environment, cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "--vendor" in done.stdout
    where = "import deploy; print(deploy.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", where],
        env=environment, cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith(str(target))


def test_what_is_not_installed_cannot_be_carried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_wheel, "_NAME", "esrdeploy-that-nobody-installed")
    with pytest.raises(UsageError, match="runs without being installed"):
        write_own_wheel(tmp_path)
