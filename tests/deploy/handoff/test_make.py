import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from calib.choose_patches import folder_patches
from calib.colours import RGB
from calib.digest import sha256_bytes
from calib.errors import StaleTableError, UsageError, VerificationError
from calib.images import read_image, to_input
from calib.table import CalibrationTable
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.calibration_set import calibration_set
from deploy.handoff.golden import STEPS, golden_pictures, vector_name
from deploy.handoff.int8_models import int8_model
from deploy.handoff.kept_models import KeptModels
from deploy.handoff.make import HandoffRequest, make_handoff, open_build
from deploy.handoff.nearest_int8 import operand_models, operands_alone
from deploy.handoff.outcome import HandoffOutcome
from deploy.handoff.vendors import find_vendor, vendors
from deploy.metrics.parity import nearness_db
from deploy.metrics.psnr_ssim import parity_db
from deploy.pipeline import build_model
from deploy.progress import Silent
from deploy.runtime.runner import model_runner
from quant.plan import QuantOptions
from tests.deploy.conftest import HANDOFF_PROFILES

RNG = np.random.default_rng(5)


def test_every_target_is_found_by_name() -> None:
    assert list(vendors()) == ["ncnn", "openvino", "qnn", "rknn", "tensorrt", "vacc", "web"]
    assert find_vendor("rknn").name == "rknn"
    with pytest.raises(UsageError, match="unknown vendor 'abacus'; choose one of ncnn"):
        find_vendor("abacus")


def test_a_bundle_made_twice_has_the_same_bytes(
    small_build: Path, handed_over: HandoffOutcome, tmp_path: Path
) -> None:
    vendors = tuple(vendor.name for vendor in handed_over.manifest.vendors)
    request = HandoffRequest(
        small_build, vendors, out=tmp_path / "x.zip", profiles=HANDOFF_PROFILES
    )
    again = make_handoff(request, Silent())
    assert again.path.read_bytes() == handed_over.path.read_bytes()
    assert again.sha256 == handed_over.sha256


def test_no_path_of_the_machine_is_in_a_bundle(
    small_build: Path, tiny_x2_weights: Path, unpacked: Path
) -> None:
    files = [path for path in unpacked.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert str(small_build).encode() not in content, path
        assert str(tiny_x2_weights.parent).encode() not in content, path


def test_golden_vectors_are_pictures_that_were_not_calibrated_on(
    small_build: Path, unpacked: Path
) -> None:
    manifest = read_contents(unpacked)
    table = CalibrationTable.load(small_build / "calibration.json")
    calibrated_on = {entry.sha256 for entry in table.images.patches}
    assert len(manifest.golden) == 8
    for vector in manifest.golden:
        picture = read_image(unpacked / "golden" / "picture" / f"{vector.name}.png")
        assert sha256_bytes(picture.tobytes()) == vector.sha256
        assert vector.sha256 not in calibrated_on
        network_input = np.load(unpacked / golden_path("input", vector.name))
        np.testing.assert_array_equal(network_input, to_input(picture, RGB))


def test_golden_outputs_are_what_the_files_mean(unpacked: Path) -> None:
    manifest = read_contents(unpacked)
    vector = manifest.golden[0]
    network_input = np.load(unpacked / golden_path("input", vector.name))
    expected = model_runner(unpacked / manifest.float_model, optimized=True)(network_input)
    recorded = np.load(unpacked / golden_path("float", vector.name))
    assert np.abs(expected - recorded).max() <= STEPS["float"] / 2 + 1e-6
    for profile, path in manifest.int8_models.items():
        meant = model_runner(unpacked / path, optimized=False)(network_input)
        found = np.load(unpacked / golden_path(f"int8-{profile}", vector.name))
        assert parity_db(meant, found) > 60
        clipped = [np.clip(array, 0, 1) for array in (expected, found)]
        assert parity_db(*clipped) == pytest.approx(vector.psnr_db[profile], abs=0.1)


def test_an_int8_model_that_the_build_lacks_is_made_as_a_build_would(
    small_build: Path, tiny_x2_weights: Path, unpacked: Path, tmp_path: Path
) -> None:
    request = BuildRequest(
        "small",
        targets=("tensorrt",),
        weights=tiny_x2_weights,
        calibration=CalibrationRequest(table=small_build / "calibration.json"),
        quantization=QuantOptions(rounding="nearest"),
        out=tmp_path,
        report=False,
    )
    built = build_model(request, Silent()).folder / "small-int8-tensorrt.onnx"
    assert built.read_bytes() == (unpacked / "models" / "small-int8-tensorrt.onnx").read_bytes()
    assert not (small_build / "small-int8-tensorrt.onnx").exists()


def test_an_int8_model_that_the_build_has_is_taken(small_build: Path, unpacked: Path) -> None:
    built = (small_build / "small-int8-openvino.onnx").read_bytes()
    assert built == (unpacked / "models" / "small-int8-openvino.onnx").read_bytes()
    assert int8_model(open_build(small_build), "openvino", Silent()).plan.target == "openvino"


def test_a_target_that_takes_no_int8_is_judged_by_the_builds(vacc_only: Path) -> None:
    import zipfile

    with zipfile.ZipFile(vacc_only) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["vendors"][0]["profile"] == "openvino"
    assert list(manifest["int8_models"]) == ["openvino"]


def test_the_vendors_engines_were_run(handed_over: HandoffOutcome) -> None:
    ran = {proof.engine: proof.agreement for proof in handed_over.proofs}
    assert set(ran) == {
        "float pair in ncnn",
        "int8 pair in ncnn",
        "float IR in OpenVINO",
        "int8 IR in OpenVINO",
    }
    for engine in ("float pair in ncnn", "float IR in OpenVINO"):
        found = ran[engine]
        assert found is None or found.psnr_db >= 80.0  # None: not installed


def test_a_changed_build_is_not_handed_over(small_build: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_build, folder)
    path = folder / "small-fp32.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=r"small-fp32\.onnx.*changed after its manifest"):
        make_handoff(HandoffRequest(folder, ("vacc",), out=tmp_path / "x.zip"), Silent())
    assert not (tmp_path / "x.zip").exists()


def test_a_folder_with_no_or_two_builds_is_refused(small_build: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"found no build in .*; run 'esrdeploy build' first"):
        open_build(tmp_path)
    for name in ("a", "b"):
        shutil.copytree(small_build, tmp_path / name)
    with pytest.raises(UsageError, match=r"a, .*b; name the folder of one"):
        open_build(tmp_path)


def test_a_build_without_calibration_is_refused(tiny_x2_weights: Path, tmp_path: Path) -> None:
    request = BuildRequest("small", precision="fp32", weights=tiny_x2_weights, out=tmp_path)
    folder = build_model(request, Silent()).folder
    with pytest.raises(UsageError, match="built without calibration"):
        make_handoff(HandoffRequest(folder, ("rknn",)), Silent())


def test_fewer_than_eight_golden_vectors_are_refused(small_build: Path, tmp_path: Path) -> None:
    build = open_build(small_build)
    with pytest.raises(UsageError, match="at least 8"):
        golden_pictures(build, None, 7)
    cv2.imwrite(str(tmp_path / "one.png"), RNG.integers(0, 256, (128, 128, 3), np.uint8))
    with pytest.raises(UsageError, match="has 1 pictures that were not calibrated on, expected 8"):
        golden_pictures(build, tmp_path, 8)


def test_golden_pictures_of_a_folder_leave_out_what_was_calibrated_on(
    small_build: Path, tmp_path: Path
) -> None:
    for number in range(9):
        picture = RNG.integers(0, 256, (128, 128, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    seen = folder_patches(tmp_path, mode="whole", count=1, seed=0)
    table = CalibrationTable("0" * 64, seen.record(), {})
    build = replace(open_build(small_build), table=table)
    chosen = golden_pictures(build, tmp_path, 8)
    assert len(chosen) == 8
    assert seen.patches[0].sha256 not in {patch.sha256 for patch in chosen}


@pytest.mark.parametrize(
    ("source", "name"),
    [("0801", "03-0801"), ("Süß & süß.JPG", "03-s-s"), ("...", "03-picture")],
)
def test_names_of_golden_vectors_are_plain(source: str, name: str) -> None:
    assert vector_name(3, source) == name


class TestUserPictures:
    """A user's calibration pictures stay at home unless the user says otherwise."""

    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        folder = tmp_path / "photos"
        folder.mkdir()
        for number in range(3):
            picture = RNG.integers(0, 256, (140, 150, 3), np.uint8)
            cv2.imwrite(str(folder / f"private-{number}.png"), picture)
        return folder

    @pytest.fixture
    def own(self, small_build: Path, photos: Path) -> "object":
        """The build, as if it had been calibrated on the user's folder."""
        build = open_build(small_build)
        assert build.table is not None
        record = folder_patches(photos, mode="crop", count=3, seed=4).record()
        table = CalibrationTable(build.table.network_digest, record, build.table.tensors)
        return replace(build, table=table)

    def test_they_are_listed_but_not_copied(self, own, photos: Path, tmp_path: Path) -> None:
        found = calibration_set(own, photos, include_images=False)
        assert not found.included
        found.write(tmp_path / "bundle")
        written = [path.name for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
        assert written == ["patches.json"]
        listed = json.loads((tmp_path / "bundle" / "calibration" / "patches.json").read_text())
        assert [entry["file"] for entry in listed["patches"]][:1] == ["images/0000.png"]
        assert {entry["sha256"] for entry in listed["patches"]} == {
            entry.sha256 for entry in own.table.images.patches
        }
        assert str(photos) not in json.dumps(listed)

    def test_they_are_copied_at_the_users_word(self, own, photos: Path, tmp_path: Path) -> None:
        found = calibration_set(own, photos, include_images=True)
        found.write(tmp_path / "bundle")
        for file, entry in zip(found.files, own.table.images.patches, strict=True):
            picture = read_image(tmp_path / "bundle" / file)
            assert sha256_bytes(picture.tobytes()) == entry.sha256

    def test_the_folder_has_to_be_named(self, own) -> None:
        with pytest.raises(UsageError, match="name it with --calib"):
            calibration_set(own, None, include_images=True)

    def test_another_folder_is_refused(self, own, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        cv2.imwrite(str(other / "x.png"), RNG.integers(0, 256, (140, 150, 3), np.uint8))
        with pytest.raises(StaleTableError, match=r"3 of 3 pictures .* are not found"):
            calibration_set(own, other, include_images=True)


def test_models_in_a_bundle_are_valid(unpacked: Path) -> None:
    paths = sorted((unpacked / "models").glob("*.onnx"))
    manifest = read_contents(unpacked)
    named = {
        manifest.float_model,
        *manifest.quantizable_models.values(),
        *manifest.int8_models.values(),
    }
    assert {f"models/{path.name}" for path in paths} == named
    assert set(manifest.int8_models) == {"openvino", *HANDOFF_PROFILES}
    for path in paths:
        onnx.checker.check_model(onnx.load(path), full_check=True)


def test_what_rounds_operands_alone_is_run_once(
    unpacked: Path, small_build: Path, tmp_path: Path
) -> None:
    build, manifest = open_build(small_build), read_contents(unpacked)
    kept = KeptModels(tmp_path, "test")
    entries = {name: int8_model(build, name, Silent(), kept) for name in manifest.int8_models}
    others = operand_models(entries)
    assert "tensorrt" not in others
    assert "qnn" in others
    vector = manifest.golden[0]
    network_input = np.load(unpacked / golden_path("input", vector.name))
    expected = np.load(unpacked / golden_path("float", vector.name))
    for name, entry in entries.items():
        found = model_runner(operands_alone(entry), optimized=False)(network_input)
        assert vector.operands_db[name] == round(nearness_db(expected, found, "picture"), 4)
        if name not in others:
            whole = model_runner(entry.model, optimized=False)(network_input)
            np.testing.assert_array_equal(found, whole)
