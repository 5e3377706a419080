"""A build into a folder that holds one: added to it, refused, or put in its place as a whole."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from deploy.artifacts.build_folder import check_named
from deploy.artifacts.files import (
    PARITY_NAME,
    TABLE_ARRAYS_NAME,
    TABLE_NAME,
    UNFINISHED_NAME,
    is_build_file,
    model_file_name,
    plan_file_name,
    sensitivity_file_name,
)
from deploy.artifacts.find_build import build_folders
from deploy.artifacts.manifest import read_manifest
from quant.targets import PROFILES
from tests.deploy.builds import run

QUICK = ("--rounding", "nearest", "--no-report")


@pytest.fixture
def again(copy: Path, tiny_weights: Path):
    """A function that builds into the folder of a finished build."""

    def build(*arguments: object, weights: Path = tiny_weights, count: int = 4):
        common = ["--model", "tiny", "--weights", weights, "--calib-count", count]
        return run("build", *common, "--out", copy.parent, *QUICK, *arguments)

    return build


@pytest.fixture
def other_weights(tiny_weights: Path, tmp_path: Path) -> Path:
    """The same network with another bias."""
    tensors = load_file(tiny_weights)
    tensors["conv_last.bias"] = tensors["conv_last.bias"] + np.float32(0.01)
    save_file(tensors, tmp_path / "other.safetensors")
    return tmp_path / "other.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def every_name(model: str) -> list[str]:
    """Return every name that a manifest may name."""
    names = [PARITY_NAME, TABLE_NAME, TABLE_ARRAYS_NAME]
    names += [model_file_name(model, "fp32"), model_file_name(model, "fp16")]
    for target in PROFILES:
        names.append(model_file_name(model, "int8", target))
        names += [plan_file_name(model, target), sensitivity_file_name(model, target)]
    return names


def test_a_target_is_added_and_what_was_there_is_kept(again, copy: Path) -> None:
    before = contents(copy)
    result = again("--target", "openvino")
    assert result.exit_code == 0, result.output
    manifest = read_manifest(copy / "manifest.json")
    assert set(manifest.options.targets) == {"ort", "openvino"}
    assert manifest.options.targets["ort"].quantization.rounding == "gptq"
    assert manifest.options.targets["openvino"].quantization.rounding == "nearest"
    assert all(record.passed for record in manifest.parity.artifacts.values())
    assert {"tiny-int8-ort.onnx", "tiny-int8-openvino.onnx"} <= set(manifest.parity.artifacts)
    after = contents(copy)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {"manifest.json", "parity.json", "report.html"}
    assert "report.html" not in after
    assert not (copy / UNFINISHED_NAME).exists()
    assert {*after} == {*manifest.files(report=False)}


@pytest.mark.parametrize("wrong", ["weights", "calibration", "stranger", "damaged", "manifest"])
def test_what_cannot_be_added_to_is_refused_and_left_as_it_was(
    wrong: str, again, copy: Path, other_weights: Path
) -> None:
    changes: dict[str, object] = {}
    if wrong == "weights":
        changes["weights"] = other_weights
    elif wrong == "calibration":
        changes["count"] = 3
    elif wrong == "stranger":
        shutil.copy(copy / "tiny-int8-ort.onnx", copy / "tiny-int8-qnn.onnx")
    elif wrong == "damaged":
        (copy / "tiny-int8-ort.onnx").write_bytes(b"nothing")
    else:
        (copy / "manifest.json").write_text("{}")
    before = contents(copy)
    result = again("--target", "openvino", **changes)
    assert result.exit_code == 2, result.output
    assert "--replace" in result.stderr
    assert "--name" in result.stderr
    assert contents(copy) == before
    assert not (copy / UNFINISHED_NAME).exists()


def test_calibrating_over_a_build_is_refused_where_pictures_differ(
    copy: Path, tiny_weights: Path
) -> None:
    before = contents(copy)
    common = ["--model", "tiny", "--weights", tiny_weights, "--out", copy.parent]
    refused = run("calibrate", *common, "--calib-count", 3)
    assert refused.exit_code == 2, refused.output
    assert contents(copy) == before
    same = run("calibrate", *common, "--calib-count", 4)
    assert same.exit_code == 0, same.output
    assert contents(copy) == before


def test_a_build_in_the_place_of_another_leaves_nothing_of_it(
    again, copy: Path, other_weights: Path
) -> None:
    result = again("--precision", "fp32", "--replace", weights=other_weights)
    assert result.exit_code == 0, result.output
    assert {*contents(copy)} == {"manifest.json", "parity.json", "tiny-fp32.onnx"}


def test_a_name_is_that_of_the_folder_and_of_every_file(
    again, copy: Path, other_weights: Path
) -> None:
    before = contents(copy)
    result = again("--precision", "fp32", "--name", "mine", weights=other_weights)
    assert result.exit_code == 0, result.output
    assert {*contents(copy.parent / "mine")} == {"manifest.json", "parity.json", "mine-fp32.onnx"}
    assert contents(copy) == before
    for wrong in ("../mine", "x4plus"):
        refused = again("--precision", "fp32", "--name", wrong)
        assert refused.exit_code == 2
        assert f"--name {wrong}" in refused.stderr.replace("'", "")


def test_an_interrupted_build_leaves_the_one_before_and_can_be_finished(
    again, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(copy)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("deploy.pipeline.compare_build", interrupt)
        again("--target", "openvino")
    assert contents(copy) == before
    assert (copy / UNFINISHED_NAME / "tiny-int8-openvino.onnx").is_file()
    assert build_folders(copy.parent) == [copy]
    result = again("--target", "openvino")
    assert result.exit_code == 0, result.output
    assert not (copy / UNFINISHED_NAME).exists()


def test_files_of_an_interrupted_build_without_a_manifest_are_built_over(again, copy: Path) -> None:
    (copy / "manifest.json").unlink()
    result = again("--precision", "fp32")
    assert result.exit_code == 0, result.output
    assert {*contents(copy)} == {"manifest.json", "parity.json", "tiny-fp32.onnx"}


@pytest.mark.parametrize("model", ["tiny", "x4plus-anime-6b"])
def test_every_kind_of_file_fails_where_the_manifest_does_not_name_it(
    model: str, copy: Path
) -> None:
    manifest = read_manifest(copy / "manifest.json")
    named = {item.path for item in manifest.artifacts}
    strangers = {name for name in every_name(model) if name not in named}
    assert len(strangers) > 10
    for name in strangers:
        assert is_build_file(name)
        (copy / name).write_bytes(b"")
    found = list(check_named(copy, manifest))
    assert {check.artifact for check in found} == strangers
    assert {check.status for check in found} == {"failed"}


def test_verify_fails_beside_a_file_that_is_not_named(copy: Path, picture: Path) -> None:
    shutil.copy(copy / "tiny-int8-ort.onnx", copy / "tiny-int8-qnn.onnx")
    result = run("verify", copy, "--images", picture, "--backend", "none", "--json")
    assert result.exit_code == 1
    (build,) = json.loads(result.stdout)["builds"]
    failed = [check["file"] for check in build["checks"] if check["status"] == "failed"]
    assert failed == ["tiny-int8-qnn.onnx"]
    packed = run("handoff", "--vendor", "vacc", copy, "--out", copy.parent / "x.zip")
    assert packed.exit_code == 1
    assert "tiny-int8-qnn.onnx: is not in the manifest" in packed.stderr
