import subprocess
import sys

import pytest

from calib.errors import UsageError
from deploy.network.known_models import MODELS, find_model


def test_names_are_unique_and_found():
    assert len({entry.name for entry in MODELS}) == len(MODELS) == 6
    for entry in MODELS:
        assert find_model(entry.name) is entry


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown model 'x8plus'; expected one of x4plus, x4plus"):
        find_model("x8plus")


def test_hashes_are_sha256_and_unique():
    hashes = [entry.sha256 for entry in MODELS if entry.sha256 is not None]
    assert len(set(hashes)) == len(hashes) == 5
    assert all(len(digest) == 64 and int(digest, 16) for digest in hashes)


def test_address_of_the_official_file():
    assert find_model("x4plus-anime-6b").official_url() == (
        "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.2.4/"
        "RealESRGAN_x4plus_anime_6B.pth"
    )


@pytest.mark.parametrize(
    "module",
    ["deploy.network.known_models", "deploy.network.macs", "deploy.network.weights.checkpoint"],
)
def test_listing_models_loads_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
