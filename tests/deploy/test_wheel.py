"""The wheel installs and runs in every Python that the package names, as its files say.

By hand, for it asks a package index: ``ESRDEPLOY_WHEELS=1 python -m pytest -m wheel``. torch, which
takes gigabytes, is left out; what needs it says so (test_without_torch.py), and the rest runs.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from skimage import data

from calib.extras import requirements
from calib.images import resize_area, write_image

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
COMMANDS = (
    ("--help",),
    ("--version",),
    ("targets",),
    ("models",),
    ("doctor",),
    ("inspect", "tiny/tiny-int8-ort.onnx"),
    ("verify", "tiny"),
    ("report", "tiny"),
    ("handoff", "--vendor", "vacc", "tiny", "--out", "tiny.zip"),
    ("handoff", "--check", "tiny.zip"),
    ("upscale", "photo.png", "large.png", "--model", "tiny"),
)
WITHOUT_TORCH = {"doctor": 1}  # it says that torch is missing

pytestmark = [
    pytest.mark.wheel,
    pytest.mark.skipif("ESRDEPLOY_WHEELS" not in os.environ, reason="ESRDEPLOY_WHEELS is not set"),
]


def ran(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, where no checkout is on the path."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = list(map(str, words))
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=plain)


def interpreter(version: str) -> str | None:
    """Return a Python of a version: on the path, or among those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python{version}")]
    on_path = shutil.which(f"python{version}")
    for candidate in (*found, *filter(None, [on_path])):
        if ran(candidate, "-c", "import venv, ensurepip", cwd=Path.cwd()).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    made = ran(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, ROOT, cwd=folder)
    assert made.returncode == 0, made.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.parametrize("version", PYTHONS)
def test_it_is_installed_and_runs(version: str, wheel: Path, built: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} is at hand")
    environment = tmp_path / "venv"
    assert ran(python, "-m", "venv", environment, cwd=tmp_path).returncode == 0
    needed = [str(one) for one in requirements(None) if one.name != "torch"]
    for given in (("--prefer-binary", *needed), ("--no-deps", wheel)):
        installed = ran(environment / "bin/pip", "install", *given, cwd=tmp_path)
        assert installed.returncode == 0, installed.stderr
    shutil.copytree(built, tmp_path / "tiny")
    write_image(tmp_path / "photo.png", resize_area(data.coffee(), 60, 40))
    command = environment / "bin/esrdeploy"
    for words in COMMANDS:
        result = ran(command, *words, cwd=tmp_path)
        assert result.returncode == WITHOUT_TORCH.get(words[0], 0), (words, result.stderr)
        assert "Traceback" not in result.stderr
        assert "Warning" not in result.stderr
    assert (tmp_path / "large.png").is_file()
    refused = ran(command, "build", "--model", "animevideov3", cwd=tmp_path)
    assert refused.returncode == 2
    assert "torch is not installed" in refused.stderr.splitlines()[-1]
