"""What a bundle says to people of whose it is and of the tool that made it."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.digest import sha256_file
from calib.sample import sample_patches
from deploy.artifacts.parity_record import VerifiedOn
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.bundle_zip import opened
from deploy.handoff.calibration_set import CalibrationSet
from deploy.handoff.common_files import write_common
from deploy.handoff.outcome import HandoffOutcome
from deploy.network.known_models import MODELS
from tests.deploy.builds import run


def test_licences_name_the_photographs_and_the_weights(unpacked: Path) -> None:
    text = (unpacked / "LICENSES.md").read_text()
    assert "Apache License 2.0" in text
    assert "small.safetensors" in text
    assert "chelsea.png" in text
    assert "CC0 1.0" in text
    assert "Supplied by the builder, licence not known" in text
    assert "trained by" not in text


def test_the_bundle_says_whose_pictures_its_golden_vectors_are_of(
    handed_over: HandoffOutcome, unpacked: Path, tmp_path: Path
) -> None:
    assert handed_over.golden_text == "golden vectors are of 8 pictures of the embedded sample"
    readme = (unpacked / "README.md").read_text()
    assert "golden inputs are made of 8 pictures of the embedded sample" in readme
    assert "| the embedded sample, chelsea.png@" in readme
    images = sample_patches("verification", 1).record()
    verified = replace(handed_over, verified_on=VerifiedOn("held-back", images))
    assert "--images DIR with their folder makes golden vectors of them" in verified.golden_text
    own = replace(handed_over.manifest.golden[0], origin="folder")
    mixed = replace(handed_over.manifest, golden=(own, *handed_over.manifest.golden[1:]))
    words = "1 picture of the builder's own and 7 pictures of the embedded sample"
    assert mixed.golden_pictures == words
    assert replace(verified, manifest=mixed).golden_text.endswith("those are in the bundle")
    shutil.copytree(unpacked, tmp_path / "copy")
    calibration = CalibrationSet(sample_patches("calibration", 1).record(), ())
    write_common(tmp_path / "copy", mixed, calibration, [])
    text = (tmp_path / "copy" / "README.md").read_text()
    assert words in text
    assert f"| the builder's own {own.source} |" in text
    licences = (tmp_path / "copy" / "LICENSES.md").read_text()
    assert "Golden pictures of the builder's own" in licences


@pytest.mark.parametrize("golden", ["sample", "folder"])
@pytest.mark.parametrize("calibration", ["sample", "folder", "folder, included"])
def test_licences_list_the_photographs_that_are_inside_and_no_others(
    unpacked: Path, tmp_path: Path, golden: str, calibration: str
) -> None:
    manifest = read_contents(unpacked)
    vectors = tuple(replace(vector, origin=golden) for vector in manifest.golden)
    shutil.copyfile(unpacked / manifest.wheel, tmp_path / manifest.wheel)
    (tmp_path / "calibration").mkdir()
    patches = sample_patches("calibration", 2)
    record = replace(patches.record(), origin=calibration[:6])
    there = patches.patches if calibration != "folder" else ()
    write_common(tmp_path, replace(manifest, golden=vectors), CalibrationSet(record, there), ())
    text = (tmp_path / "LICENSES.md").read_text()
    listed = set(re.findall(r"^\| (\S+\.(?:png|jpg)) \|", text, re.MULTILINE))
    inside = {vector.source.partition("@")[0] for vector in vectors if golden == "sample"}
    if calibration == "sample":
        inside |= {patch.name.partition("@")[0] for patch in patches.record().patches}
    assert listed == inside


WEIGHTS = [
    *((sha256, "trained by the Real-ESRGAN project")
      for entry in MODELS for sha256 in (entry.sha256, entry.packaged_sha256) if sha256),
    ("0" * 64, "licence not known"),
]  # fmt: skip


@pytest.mark.parametrize(("sha256", "words"), WEIGHTS, ids=[s[:8] for s, _ in WEIGHTS])
@pytest.mark.parametrize("model", ["x4plus", "own"])
def test_only_weights_of_a_known_digest_are_said_to_be_real_esrgans(
    unpacked: Path, tmp_path: Path, model: str, sha256: str, words: str
) -> None:
    manifest = read_contents(unpacked)
    weights = replace(manifest.weights, sha256=sha256)
    named = replace(manifest, model=model, weights=weights)
    shutil.copyfile(unpacked / manifest.wheel, tmp_path / manifest.wheel)
    (tmp_path / "calibration").mkdir()
    pictures = CalibrationSet(sample_patches("calibration", 2).record(), ())
    write_common(tmp_path, named, pictures, ())
    text = (tmp_path / "LICENSES.md").read_text()
    assert words in text
    assert ("Real-ESRGAN" in text) == (words != "licence not known")


def test_a_licence_of_ones_own_weights_is_stated(small_build: Path, tmp_path: Path) -> None:
    result = run(
        "handoff", small_build, "--vendor", "vacc", "--out", tmp_path / "x.zip",
        "--weights-licence", "CC BY 4.0, Example Studio",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with opened(tmp_path / "x.zip") as root:
        text = (root / "LICENSES.md").read_text()
        assert "> CC BY 4.0, Example Studio" in text
        assert "not known" not in text
        assert read_contents(root).weights_licence == "CC BY 4.0, Example Studio"


def test_the_readme_says_how_to_install_what_made_it(unpacked: Path) -> None:
    manifest = read_contents(unpacked)
    text = (unpacked / "README.md").read_text()
    assert f"pip install {manifest.wheel}" in text
    assert sha256_file(unpacked / manifest.wheel) in text
    # Nothing is published under the name alone.
    for path in unpacked.rglob("*.md"):
        assert not re.search(r"pip install '?esrdeploy(?!-)", path.read_text()), path


@pytest.mark.parametrize(("batch", "times"), [(1, None), (2, "twice"), (3, "3 times")])
def test_a_bundle_of_batches_says_that_one_photograph_is_repeated(
    unpacked: Path, tmp_path: Path, batch: int, times: str | None
) -> None:
    manifest = read_contents(unpacked)
    network = replace(manifest.network, tile=replace(manifest.network.tile, batch=batch))
    shutil.copyfile(unpacked / manifest.wheel, tmp_path / manifest.wheel)
    (tmp_path / "calibration").mkdir()
    calibration = CalibrationSet(sample_patches("calibration", 1).record(), ())
    write_common(tmp_path, replace(manifest, network=network), calibration, [])
    text = " ".join((tmp_path / "README.md").read_text().split())
    assert ("repeated" in text) == (batch > 1)
    assert times is None or f"one alone {times}; " in text
    picture = tmp_path / "photo.png"
    cv2.imwrite(str(picture), np.arange(768, dtype=np.uint8).reshape(16, 16, 3))
    (tmp_path / "manifest.json").write_text(json.dumps({"network": asdict(network)}))
    command = [sys.executable, "processing.py", "input", "photo.png", "input.npy"]
    subprocess.run(command, cwd=tmp_path, check=True)
    pictures = np.load(tmp_path / "input.npy")
    assert len(pictures) == batch
    assert all(np.array_equal(one, pictures[0]) for one in pictures)
