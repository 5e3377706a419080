"""A good return, and the folder to put one in."""

from pathlib import Path

import numpy as np
import pytest

from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.runtime.runner import model_runner
from tests.deploy.handoff.returned.returns import Array


@pytest.fixture(scope="session")
def outputs(unpacked: Path) -> dict[str, Array]:
    """What our own int8 gives for each golden input, computed again: a good return."""
    manifest = read_contents(unpacked)
    run = model_runner(unpacked / manifest.int8_models["openvino"], optimized=False)
    names = [vector.name for vector in manifest.golden]
    return {name: run(np.load(unpacked / golden_path("input", name))) for name in names}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "returned"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where verdicts go; what was returned stays as it came."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path
