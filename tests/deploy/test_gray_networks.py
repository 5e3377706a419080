"""A network for gray pictures, made of one for RGB: built, handed over, scored, and enlarging."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file
from skimage import data

from calib.images import in_channels, write_image
from deploy.network.architecture import SRVGG
from tests.deploy.builds import run
from tests.deploy.upscale.conftest import image, photo

SIZES = SRVGG(convs=1, features=8, scale=2, channels=1)


@pytest.fixture(scope="module")
def gray(random_tensors, tmp_path_factory) -> Path:
    """A build of a small network for gray pictures at 32x32."""
    folder = tmp_path_factory.mktemp("gray")
    save_file(random_tensors(SIZES, gain=0.3), folder / "gray.safetensors")
    build = ("build", "--weights", folder / "gray.safetensors", "--size", 32, "--calib-count", 2)
    made = run(*build, "--rounding", "nearest", "--out", folder / "dist")
    assert made.exit_code == 0, made.output
    assert f"{SIZES}" in made.output.replace("\n", " ")
    return folder / "dist" / "gray-32x32"


def test_its_ends_are_one_channel_and_it_verifies_again(gray: Path) -> None:
    manifest = json.loads((gray / "manifest.json").read_text())
    assert manifest["network"]["tile"]["channels"] == 1
    weights = gray.parents[1] / "gray.safetensors"
    done = run("verify", gray, "--weights", weights)
    assert done.exit_code == 0, done.output
    assert "0 failed" in done.output
    shown = run("inspect", gray / "gray-32x32-int8-ort.onnx").output
    assert "float32 [1, 1, 32, 32]" in shown
    assert "float32 [1, 1, 64, 64]" in shown


def test_a_vendor_that_is_known_to_take_rgb_alone_refuses_it(gray: Path, tmp_path: Path) -> None:
    refused = run("handoff", "--vendor", "vacc", gray, "--out", tmp_path / "b.zip")
    assert refused.exit_code == 2
    assert "found a network for gray pictures" in refused.stderr


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_it_enlarges_is_gray(channels: int, bits: int, gray: Path, tmp_path: Path) -> None:
    samples = photo(40, 50, channels, bits)
    image(samples).pngsave(str(tmp_path / "photo.png"))
    options = ("--builds", gray, "--backend", "ort", "--compare")
    done = run("upscale", tmp_path / "photo.png", tmp_path / "large.png", *options)
    assert done.exit_code == 0, done.output
    assert "of a colour its luma" in done.stderr
    found = cv2.imread(str(tmp_path / "large.png"), cv2.IMREAD_UNCHANGED)
    assert found.dtype == samples.dtype
    assert found.shape[:2] == (80, 100)
    assert (found.ndim == 3) == (channels in {2, 4})  # OpenCV gives gray and alpha four channels
    if channels == 3:
        luma = cv2.cvtColor(samples, cv2.COLOR_RGB2GRAY)
        image(luma[:, :, np.newaxis]).pngsave(str(tmp_path / "luma.png"))
        again = run("upscale", tmp_path / "luma.png", tmp_path / "again.png", *options)
        assert again.exit_code == 0
        same = cv2.imread(str(tmp_path / "again.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(found, same)


@pytest.mark.parametrize(("shape", "reduced", "side"), [("fixed", 4, 32), ("source", 2, 48)])
def test_it_is_scored_on_luma(  # cases and fixtures
    shape: str, reduced: int, side: int, gray: Path, tmp_path: Path
) -> None:
    """A photograph and the same in gray give the same scores."""
    photograph = data.coffee()[:256, :256]
    scores = []
    for kind, picture in (("colour", photograph), ("gray", in_channels(photograph, 1))):
        low = tmp_path / kind / "DIV2K_valid_LR_bicubic" / f"X{reduced}"
        high = tmp_path / kind / "DIV2K_valid_HR"
        for folder in (low, high):
            folder.mkdir(parents=True)
        write_image(low / f"0801x{reduced}.png", np.ascontiguousarray(picture[:side, :side]))
        write_image(high / "0801.png", np.ascontiguousarray(picture[: 2 * side, : 2 * side]))
        options = ("--builds", gray.parent, "--out", tmp_path, "--shape", shape, "--json")
        done = run("eval", "--data", tmp_path / kind, *options)
        assert done.exit_code == 0, done.output
        table = json.loads(done.stdout)
        assert "luma, 8 bits" in " ".join(table["notes"])
        scores.append([(row["psnr"]["ours"], row["ssim"]["ours"]) for row in table["rows"]])
    assert scores[0] == scores[1]
    assert len(scores[0]) == 3
