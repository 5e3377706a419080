"""Which file enlarges: of a precision, the one made for a runtime here; else a refusal."""

import shutil
from pathlib import Path

import pytest

from calib.errors import UsageError, VerificationError
from deploy.runtime.backends import is_installed
from deploy.upscale.built_file import find_file
from tests.deploy.builds import FLOAT, HALF, INT8


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
        "(small-int8-openvino.onnx is for other runtimes); build it with --target ort, or say "
        "--precision fp32"
    )
    with pytest.raises(UsageError, match=r"holds no int8 for ort.*--target ort"):
        find_file(small_build, precision="int8", backend="ort")


def test_several_builds_want_a_name(built: Path, small_build: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "tiny")
    shutil.copytree(small_build, tmp_path / "small")
    with pytest.raises(UsageError, match=r"several builds .* small, tiny; choose one with --model"):
        find_file(tmp_path)
    assert find_file(tmp_path, "small", backend="openvino").folder == tmp_path / "small"
    assert find_file(tmp_path, str(built), backend="ort").folder == built


def test_a_changed_file_is_refused(copy: Path) -> None:
    path = copy / FLOAT
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(VerificationError, match="not the file that the manifest names"):
        find_file(copy, precision="fp32", backend="ort").model()
