"""A good return, and the folder to put one in."""

from pathlib import Path

import numpy as np
import pytest

from deploy.handoff.bundle_manifest import golden_path, read_contents
from tests.deploy.handoff.returned.returns import Array


@pytest.fixture(scope="session")
def outputs(unpacked: Path) -> dict[str, Array]:
    """What our own int8 gives for each golden input: a good return."""
    names = [vector.name for vector in read_contents(unpacked).golden]
    return {name: np.load(unpacked / golden_path("int8-openvino", name)) for name in names}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "returned"
    path.mkdir()
    return path
