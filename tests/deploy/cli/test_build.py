"""build and calibrate through the command line: what is left behind, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from calib.table import CalibrationTable
from tests.deploy.builds import run


def test_a_build_leaves_exactly_the_promised_files(built: Path) -> None:
    assert sorted(path.name for path in built.iterdir()) == [
        "calibration.json",
        "calibration.npz",
        "manifest.json",
        "parity.json",
        "report.html",
        "tiny-fp16.onnx",
        "tiny-fp32.onnx",
        "tiny-int8-ort.onnx",
        "tiny-int8-ort.plan.json",
    ]


def test_the_same_inputs_give_the_same_bytes(
    built: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    result = run(
        "build", "--model", "tiny", "--weights", tiny_weights, "--calib-count", 4,
        "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for path in built.iterdir():
        assert (tmp_path / "tiny" / path.name).read_bytes() == path.read_bytes(), path.name


def test_no_artifact_names_a_path_of_the_machine(built: Path, tiny_weights: Path) -> None:
    for path in built.iterdir():
        content = path.read_bytes()
        assert str(tiny_weights.parent).encode() not in content, path.name
        assert str(Path.home()).encode() not in content, path.name


def test_the_plan_says_which_pictures_decided_the_rounding(built: Path) -> None:
    plan = json.loads((built / "tiny-int8-ort.plan.json").read_text())
    table = json.loads((built / "calibration.json").read_text())
    assert plan["options"]["rounding"] == "gptq"
    assert plan["rounded"]["images"]["patches"] == table["images"]["patches"]
    assert set(plan["rounded"]["digests"]) == set(plan["weights"])


def test_nodes_of_the_fp16_model_stay_in_float_where_asked(
    tiny_weights: Path, tmp_path: Path, picture: Path
) -> None:
    own = ["--model", "tiny", "--weights", tiny_weights, "--out", tmp_path]
    fp16 = ["--precision", "fp16", "--calib-count", 2, "--no-report"]
    result = run("build", *own, *fp16, "--fp16-keep", "/conv_hr/Conv")
    assert result.exit_code == 0, result.output
    assert "node /conv_hr/Conv stays in float32, asked for" in result.stdout
    manifest = json.loads((tmp_path / "tiny" / "manifest.json").read_text())
    assert manifest["fp16_kept"] == {"/conv_hr/Conv": "asked for"}
    assert manifest["options"]["fp16_keep"] == ["/conv_hr/Conv"]
    found = run("inspect", tmp_path / "tiny" / "tiny-fp16.onnx", "--json")
    kinds = {node["node"]: node["inputs_output"] for node in json.loads(found.stdout)["nodes"]}
    assert kinds["/conv_hr/Conv"].endswith("-> float32")
    verified = run("verify", tmp_path, "--weights", tiny_weights, "--images", picture)
    assert verified.exit_code == 0, verified.output
    unknown = run("build", *own, *fp16, "--fp16-keep", "/nowhere/Conv")
    assert unknown.exit_code == 2
    assert "found no node '/nowhere/Conv'" in unknown.stderr


def test_a_finished_table_gives_the_same_int8_model(
    built: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    result = run(
        "build", "--model", "tiny", "--weights", tiny_weights,
        "--calib-table", built / "calibration.json", "--out", tmp_path, "--no-report",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for name in ("calibration.json", "calibration.npz", "tiny-int8-ort.onnx"):
        assert (tmp_path / "tiny" / name).read_bytes() == (built / name).read_bytes()


def test_a_table_of_another_graph_is_refused_with_both_digests(
    built: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    other = tmp_path / "other.safetensors"
    tensors = load_file(tiny_weights)
    tensors["conv_last.bias"] = tensors["conv_last.bias"] + np.float32(0.01)
    save_file(tensors, other)
    result = run(
        "build", "--model", "other", "--weights", other,
        "--calib-table", built / "calibration.json", "--out", tmp_path / "dist",
    )  # fmt: skip
    assert result.exit_code == 2
    table = CalibrationTable.load(built / "calibration.json")
    assert f"{table.network_digest[:12]}..." in result.stderr
    assert not (tmp_path / "dist" / "other").exists()


def test_workers_and_one_process_calibrate_to_the_same_bytes(
    built: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    result = run(
        "calibrate", "--model", "tiny", "--weights", tiny_weights, "--calib-count", 4,
        "--workers", 2, "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for name in ("tiny-fp32.onnx", "calibration.json", "calibration.npz"):
        assert (tmp_path / "tiny" / name).read_bytes() == (built / name).read_bytes()


def bad_inputs(tmp_path: Path, tiny_weights: Path) -> dict[str, list[str | Path]]:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("no picture")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes(tiny_weights.read_bytes()[:100])
    own = ["--model", "tiny", "--weights", tiny_weights]
    return {
        "unknown model": ["--model", "x5plus"],
        "unknown target": [*own, "--target", "abacus"],
        "a precision the target lacks": [*own, "--target", "tensorrt", "--trunk", "int16"],
        "missing weights": ["--model", "x4plus", "--weights", tmp_path / "absent.pth"],
        "corrupt weights": ["--model", "x4plus", "--weights", corrupt],
        "another architecture": ["--model", "x4plus", "--weights", tiny_weights],
        "no such folder": [*own, "--calib", tmp_path / "absent"],
        "empty folder": [*own, "--calib", tmp_path / "empty"],
        "image-free folder": [*own, "--calib", tmp_path / "text"],
        "an image that does not decode": [*own, "--calib", tmp_path / "broken"],
    }


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("unknown model", "x5plus"),
        ("unknown target", "abacus"),
        ("a precision the target lacks", "cannot run the trunk in int16"),
        ("missing weights", "absent.pth"),
        ("corrupt weights", "corrupt.safetensors"),
        ("another architecture", "expected"),
        ("no such folder", "absent"),
        ("empty folder", "no image"),
        ("image-free folder", "no image"),
        ("an image that does not decode", "picture.png"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(
    tmp_path: Path, tiny_weights: Path, case: str, named: str
) -> None:
    out = tmp_path / "dist"
    result = run("build", *bad_inputs(tmp_path, tiny_weights)[case], "--out", out)
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("esrdeploy: ")]
    assert named in line
    assert "Traceback" not in result.stderr
    assert not out.exists()


def test_an_output_folder_that_cannot_be_written_is_bad_input(
    tmp_path: Path, tiny_weights: Path
) -> None:
    (tmp_path / "dist").write_text("a file, not a folder")
    result = run("build", "--model", "tiny", "--weights", tiny_weights, "--out", tmp_path / "dist")
    assert result.exit_code == 2
    assert "cannot write to the output folder" in result.stderr


@pytest.mark.parametrize(
    "wrong", [["--fp16-keep", "nowhere"], ["--target", "abacus"]], ids=["node", "target"]
)
def test_a_refused_build_leaves_the_one_before_as_it_was(
    wrong: list[str], built: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    shutil.copytree(built, tmp_path / "tiny")
    before = {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()}
    result = run(
        "build", "--model", "tiny", "--weights", tiny_weights, "--calib-count", 2,
        "--out", tmp_path, *wrong,
    )  # fmt: skip
    assert result.exit_code == 2, result.output
    assert {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()} == before
