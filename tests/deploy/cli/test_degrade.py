"""``esrdeploy degrade``, and builds calibrated on what it does: one set of pictures everywhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from calib.degradation.pairs import PAIRS_NAME
from calib.degradation.parameters import Degradation, DegradationParameters
from calib.div2k import evaluation_pairs
from calib.images import write_image
from calib.records import encode
from deploy.artifacts.manifest import read_manifest
from deploy.handoff.calibration_set import calibration_set
from deploy.handoff.golden import golden_pictures
from deploy.handoff.make import open_build
from tests.deploy.builds import run


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of 256x256 pixels."""
    folder = tmp_path_factory.mktemp("photographs")
    pieces = [data.astronaut()[top : top + 256, left : left + 256] for top, left in
              ((0, 0), (0, 256), (200, 100), (256, 0), (100, 200), (256, 256))]  # fmt: skip
    for number, piece in enumerate(pieces):
        write_image(folder / f"{number}.png", np.ascontiguousarray(piece))
    return folder


@pytest.fixture(scope="module")
def degraded(
    photographs: Path, tiny_x2_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A build calibrated on them, degraded."""
    out = tmp_path_factory.mktemp("dist")
    result = run(
        "build", "--model", "small", "--weights", tiny_x2_weights, "--calib", photographs,
        "--degrade", "--rounding", "nearest", "--no-report", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "5 images (whole, degraded)" in result.stderr
    assert "1 picture of your own, degraded, resized to 128x128 (" in " ".join(
        result.stdout.split()
    )
    return out / "small"


def test_pairs_are_written_and_told_of(photographs: Path, tmp_path: Path) -> None:
    result = run("degrade", photographs, tmp_path / "pairs", "--crop", 128, "--count", 2)
    assert result.exit_code == 0, result.output
    pairs = evaluation_pairs(tmp_path / "pairs")
    assert [pair.name for pair in pairs] == ["0", "1"]
    assert "2 pairs at scale 4" in result.stdout
    assert f"esrdeploy eval --data {tmp_path / 'pairs'} --shape source" in result.stdout
    again = run(
        "degrade", photographs, tmp_path / "again", "--crop", 128, "--count", 2, "--json"
    )  # fmt: skip
    said = json.loads(again.stdout)
    record = json.loads((tmp_path / "pairs" / PAIRS_NAME).read_text())
    assert said["record"] == record
    assert said["schema"] == "esrdeploy.cli.degrade/1"
    assert record["crop_px"] == 128


def test_parameters_may_be_given(photographs: Path, tmp_path: Path) -> None:
    file = tmp_path / "parameters.json"
    file.write_bytes(encode(DegradationParameters(sharpen=False, final_sinc_probability=0.0)))
    given = ["--degradation", file, "--count", 1, "--scale", 2]
    assert run("degrade", photographs, tmp_path / "pairs", *given).exit_code == 0
    record = json.loads((tmp_path / "pairs" / PAIRS_NAME).read_text())
    assert record["degradation"]["parameters"] == json.loads(file.read_text())
    assert not record["pairs"][0]["recipe"]["sharpen"]
    file.write_text("{}")
    refused = run("degrade", photographs, tmp_path / "other", *given)
    assert refused.exit_code == 2
    assert "is missing" in refused.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("given", [["--degrade"], ["--degrade", "--calib", "sample"]])
def test_there_must_be_photographs_to_degrade(given: list[str], tiny_x2_weights: Path) -> None:
    result = run("build", "--model", "small", "--weights", tiny_x2_weights, *given)
    assert result.exit_code == 2
    assert "found --degrade without photographs" in result.stderr


def test_table_and_manifest_say_what_was_done(degraded: Path) -> None:
    manifest = read_manifest(degraded / "manifest.json")
    assert manifest.calibration is not None
    assert manifest.verified_on is not None
    assert manifest.verified_on.choice == "held-back"
    for images in (manifest.calibration.images, manifest.verified_on.images):
        assert images.degradation == Degradation(2)
    table = json.loads((degraded / "calibration.json").read_text())
    assert table["images"]["degradation"] == json.loads(encode(Degradation(2)))


def test_verify_makes_the_same_pictures_again(
    degraded: Path, photographs: Path, tiny_x2_weights: Path
) -> None:
    result = run(
        "verify", degraded, "--weights", tiny_x2_weights, "--images", photographs,
        "--backend", "none", "--json",
    )  # fmt: skip
    (found,) = json.loads(result.stdout)["builds"]
    assert found["passed"], result.output
    assert found["pictures"]["choice"] == "held-back"
    assert found["pictures"]["images"]["degradation"]["scale"] == 2
    assert "recorded parity" in {check["check"] for check in found["checks"]}


def test_a_bundle_takes_the_degraded_pictures(degraded: Path, photographs: Path) -> None:
    build = open_build(degraded)
    assert build.table is not None
    record = build.table.images
    packed = calibration_set(build, photographs, include_images=True)
    assert [patch.sha256 for patch in packed.patches] == [p.sha256 for p in record.patches]
    assert {patch.load().shape for patch in packed.patches} == {(128, 128, 3)}
    golden = golden_pictures(build, photographs, 8)
    assert build.manifest.verified_on is not None
    assert golden[0].sha256 == build.manifest.verified_on.images.patches[0].sha256
    seen = {entry.name for entry in record.patches}
    assert not {patch.name for patch in golden} & seen


def test_what_was_calibrated_on_is_not_verified_on_undegraded(
    photographs: Path, tiny_x2_weights: Path, tmp_path: Path
) -> None:
    result = run(
        "build", "--model", "small", "--weights", tiny_x2_weights, "--calib", photographs,
        "--degrade", "--verify-images", photographs, "--precision", "fp16", "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 2
    assert "was calibrated on all 6 pictures it should be verified on" in result.stderr
