"""Every command that takes a build by ``--model`` takes the official name of its model too."""

from pathlib import Path

import numpy as np
import pytest

from calib.images import write_image
from deploy.network.known_models import MODELS
from tests.deploy.builds import run

ARGUMENTS = {
    "bench": "",
    "compare": "{pictures}",
    "eval": "--data {pictures}",
    "upscale": "{pictures} {out}",
}


@pytest.mark.parametrize("command", ARGUMENTS)
@pytest.mark.parametrize("entry", [entry for entry in MODELS if entry.official_name != entry.name])
def test_a_build_is_meant_by_the_official_name(command: str, entry, tmp_path: Path) -> None:
    (tmp_path / "builds").mkdir()
    (tmp_path / "pictures").mkdir()
    write_image(tmp_path / "pictures/gray.png", np.full((32, 32, 3), 128, np.uint8))
    places = {"pictures": tmp_path / "pictures", "out": tmp_path / "out"}
    words = ARGUMENTS[command].format(**places).split()
    for name in (entry.official_name, entry.official_file):
        found = run(command, *words, "--builds", tmp_path / "builds", "--model", name)
        assert found.exit_code == 2
        assert f"no build of {entry.name} in" in found.output.replace("\n", " ")
