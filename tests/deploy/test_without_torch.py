"""Without torch, what needs it says so in one line, and all else works.

What installs a library is said by its own name: tests/calib/test_extras.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

CALL = "import sys; sys.modules['torch'] = None; from deploy.cli import main; main()"
NEEDS_IT = ("torch is not installed", "pip install 'torch<")


def without_torch(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command where ``import torch`` fails as it does where torch is not installed."""
    command = [sys.executable, "-c", CALL, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["build", "calibrate"])
def test_what_needs_torch_says_so(command: str, tiny_weights: Path, tmp_path: Path) -> None:
    words = (command, "--weights", tiny_weights, "--name", "tiny", "--calib-count", 2)
    result = without_torch(tmp_path, *words, "--out", "dist")
    assert result.returncode == 2
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("esrdeploy: ")
    assert all(word in last for word in NEEDS_IT)
    assert "Traceback" not in result.stderr


def test_a_build_is_verified_all_the_same(built: Path, tmp_path: Path) -> None:
    result = without_torch(tmp_path, "verify", built)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
