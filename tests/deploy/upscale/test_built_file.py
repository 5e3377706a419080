"""Which file enlarges: of a precision, the one made for a runtime here; else a refusal."""

import shutil
from pathlib import Path

import pytest

from calib.errors import UsageError, VerificationError
from deploy.runtime.backends import is_installed
from deploy.upscale.built_file import find_file
from deploy.upscale.fast_build import fast_build
from deploy.upscale.request import UpscaleRequest
from tests.deploy.builds import FLOAT, HALF, INT8, run


@pytest.mark.parametrize(
    ("precision", "file"), [(None, INT8), ("int8", INT8), ("fp16", HALF), ("fp32", FLOAT)]
)
def test_the_file_is_that_of_the_precision(precision, file: str, built: Path) -> None:
    found = find_file(built, precision=precision, backend="ort")
    assert (found.artifact.path, found.backend, found.scale) == (file, "ort", 4)
    assert not found.instead


def test_an_int8_file_runs_in_the_runtime_that_it_is_made_for(
    built: Path, small_build: Path
) -> None:
    assert find_file(built).backend == "ort"
    if is_installed("openvino"):
        assert find_file(small_build).backend == "openvino"
        assert find_file(small_build).artifact.target == "openvino"
        assert find_file(built, backend="openvino").artifact.target == "ort"


def test_onnxruntime_runs_no_int8_file_that_it_would_compute_in_float(small_build: Path) -> None:
    taken = find_file(small_build, backend="ort")
    assert taken.artifact.precision == "fp32"
    assert taken.instead == (
        f"enlarging with small-fp32.onnx: no int8 file of {small_build} runs in ort "
        "(small-int8-openvino.onnx is for other runtimes); int8 takes a build with --target ort; "
        "--precision fp32 asks for this one"
    )
    with pytest.raises(UsageError, match=r"holds no int8 for ort.*--target ort"):
        find_file(small_build, precision="int8", backend="ort")


def test_several_builds_want_a_name(
    built: Path, small_build: Path, tmp_path: Path, monkeypatch
) -> None:
    shutil.copytree(built, tmp_path / "tiny")
    shutil.copytree(small_build, tmp_path / "small")
    with pytest.raises(UsageError, match=r"several builds .* small, tiny; choose one with --model"):
        find_file(tmp_path)
    assert find_file(tmp_path, "small", backend="openvino").folder == tmp_path / "small"
    assert find_file(tmp_path, str(built), backend="ort").folder == built
    monkeypatch.chdir(built.parent)  # a folder of that name here is not the one in the builds
    assert find_file(tmp_path, "tiny", backend="ort").folder == tmp_path / "tiny"


def test_a_changed_file_is_refused(copy: Path) -> None:
    path = copy / FLOAT
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(VerificationError, match="not the file that the manifest names"):
        find_file(copy, precision="fp32", backend="ort").model()


def test_fast_takes_the_full_integer_build_of_the_same_network(
    built: Path, tiny_weights: Path, small_build: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(built, tmp_path / "tiny")
    with pytest.raises(UsageError, match=r"no full-integer build of tiny.*--name tiny-fast"):
        fast_build(tmp_path, "tiny")
    made = run(
        *("build", "--weights", tiny_weights, "--full-integer", "--name", "tiny-fast"),
        *("--calib-table", folder / "calibration.json", "--out", tmp_path, "--no-report"),
    )
    assert made.exit_code == 0, made.output
    assert fast_build(tmp_path) == fast_build(tmp_path, "tiny") == tmp_path / "tiny-fast"
    shutil.copytree(small_build, tmp_path / "small")
    with pytest.raises(UsageError, match="no full-integer build of small"):
        fast_build(tmp_path, "small")
    shutil.copytree(tmp_path / "tiny-fast", tmp_path / "again")
    with pytest.raises(UsageError, match=r"several full-integer builds.* again, tiny-fast"):
        fast_build(tmp_path)


def test_fast_and_a_float_file_exclude_each_other(built: Path, tmp_path: Path) -> None:
    request = UpscaleRequest(tmp_path, tmp_path / "out", built, precision="fp32", fast=True)
    with pytest.raises(UsageError, match="--fast and --precision fp32"):
        request.require_sensible()
