import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner, Result

from calib.digest import sha256_file
from calib.images import write_image
from calib.sample import sample_patches
from deploy.cli import app

HEAVY = ("torch", "onnxruntime", "onnx", "cv2", "skimage", "numpy", "scipy")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one picture to compare on, where a test is about other checks."""
    folder = tmp_path_factory.mktemp("picture")
    (patch,) = sample_patches("verification", 1).patches
    write_image(folder / "one.png", patch.load())
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of the build that a test may spoil."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path in built.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def rehash(folder: Path, name: str) -> None:
    """Make the manifest agree with a changed file, as somebody who wants to hide it would."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for artifact in manifest["artifacts"]:
        if artifact["path"] == name:
            artifact["sha256"] = sha256_file(folder / name)
            artifact["size_bytes"] = (folder / name).stat().st_size
    path.write_text(json.dumps(manifest))


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom deploy.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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


def test_a_good_build_verifies(built: Path, tiny_weights: Path) -> None:
    result = run("verify", built, "--weights", tiny_weights, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["passed"]
    (build,) = report["builds"]
    assert set(build["parity"]["artifacts"]) == {
        "tiny-fp32.onnx",
        "tiny-fp16.onnx",
        "tiny-int8-ort.onnx",
    }
    assert all(check["status"] == "passed" for check in build["checks"])


@pytest.mark.parametrize(
    "name",
    [
        "tiny-fp32.onnx",
        "tiny-fp16.onnx",
        "tiny-int8-ort.onnx",
        "tiny-int8-ort.plan.json",
        "calibration.json",
        "calibration.npz",
        "parity.json",
    ],
)
def test_one_flipped_byte_fails_and_names_the_file(copy: Path, name: str, picture: Path) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 0x40
    (copy / name).write_bytes(content)
    result = run("verify", copy, "--images", picture)
    assert result.exit_code == 1, result.output
    assert f"FAIL  {name}  file: sha256" in result.stdout


def test_a_missing_file_fails_and_is_named(copy: Path, picture: Path) -> None:
    (copy / "tiny-fp16.onnx").unlink()
    result = run("verify", copy, "--images", picture)
    assert result.exit_code == 1
    assert "FAIL  tiny-fp16.onnx  file: cannot be read" in result.stdout


def spoil_initializer(path: Path, name: str) -> None:
    model = onnx.load(path)
    (tensor,) = [item for item in model.graph.initializer if item.name == name]
    value = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((value * 1.02).astype(value.dtype), name))
    path.write_bytes(model.SerializeToString(deterministic=True))


def test_one_changed_scale_fails_although_its_digest_was_recomputed(
    copy: Path, picture: Path
) -> None:
    path = copy / "tiny-int8-ort.onnx"
    scales = [item.name for item in onnx.load(path).graph.initializer if "scale" in item.name]
    name = scales[len(scales) // 2]
    spoil_initializer(path, name)
    rehash(copy, path.name)
    result = run("verify", copy, "--images", picture)
    assert result.exit_code == 1, result.output
    assert "FAIL  tiny-int8-ort.onnx  derivation" in result.stdout
    assert name in " ".join(result.stdout.split())


def test_one_changed_code_fails_although_the_file_digest_was_recomputed(copy: Path) -> None:
    path = copy / "tiny-int8-ort.onnx"
    model = onnx.load(path)
    (tensor,) = [
        item
        for item in model.graph.initializer
        if item.name.endswith("rdb2.conv3.weight_quantized")
    ]
    codes = numpy_helper.to_array(tensor).copy()
    codes[0, 0, 0, 0] += 1 if codes[0, 0, 0, 0] < 100 else -1
    tensor.CopyFrom(numpy_helper.from_array(codes, tensor.name))
    path.write_bytes(model.SerializeToString(deterministic=True))
    rehash(copy, path.name)
    result = run("verify", copy)
    assert result.exit_code == 1, result.output
    shown = " ".join(result.stdout.split())
    assert "FAIL tiny-int8-ort.onnx rounding: weight body.0.rdb2.conv3.weight" in shown


def test_the_plan_says_which_pictures_decided_the_rounding(built: Path) -> None:
    plan = json.loads((built / "tiny-int8-ort.plan.json").read_text())
    table = json.loads((built / "calibration.json").read_text())
    assert plan["options"]["rounding"] == "gptq"
    assert plan["rounded"]["images"]["patches"] == table["images"]["patches"]
    assert set(plan["rounded"]["digests"]) == set(plan["weights"])


def test_one_changed_float_weight_fails_although_its_digest_was_recomputed(
    copy: Path, picture: Path
) -> None:
    spoil_initializer(copy / "tiny-fp32.onnx", "conv_first.weight")
    rehash(copy, "tiny-fp32.onnx")
    result = run("verify", copy, "--images", picture)
    assert result.exit_code == 1
    assert "calibrated graph" in result.stdout


def test_verify_measures_backends_and_layers_where_asked(
    built: Path, tiny_weights: Path, picture: Path
) -> None:
    common = ["verify", built, "--weights", tiny_weights, "--images", picture]
    result = run(*common, "--backend", "ort", "--layers", "--json")
    assert result.exit_code == 0, result.output
    (build,) = json.loads(result.stdout)["builds"]
    assert {item["artifact"]: item["backend"] for item in build["backends"]} == {
        "tiny-fp16.onnx": "ort",
        "tiny-int8-ort.onnx": "ort",
    }
    assert build["machine"]["architecture"]
    layers = build["layers"]["tiny-int8-ort.onnx"]
    assert [error["node"] for error in layers][-1] == "/conv_last/Conv"
    assert all(finding["largest"] < 65504 for finding in build["fp16"])
    shown = run(*common, "--layers")
    assert shown.exit_code == 0, shown.output
    assert "no verdict rests on it" in shown.stdout
    assert "this machine: " in shown.stdout
    assert f"the 10 worst of {len(layers)} tensors" in shown.stdout


def test_backends_and_layers_are_left_out_where_not_wanted(
    built: Path, tiny_weights: Path, picture: Path
) -> None:
    result = run(
        "verify", built, "--weights", tiny_weights, "--images", picture,
        "--backend", "none", "--json",
    )  # fmt: skip
    (build,) = json.loads(result.stdout)["builds"]
    assert (build["backends"], build["layers"], build["machine"]) == ([], {}, None)
    refused = run("verify", built, "--backend", "none", "--backend", "ort")
    assert refused.exit_code == 2
    assert "none alone" in refused.stderr


def test_no_artifact_holds_what_a_backend_of_this_machine_makes(built: Path) -> None:
    for name in ("manifest.json", "parity.json"):
        content = (built / name).read_text()
        assert "backend" not in content
        assert "AVX" not in content


def test_nodes_of_the_fp16_model_stay_in_float_where_asked(
    tiny_weights: Path, tmp_path: Path, picture: Path
) -> None:
    own = ["--model", "tiny", "--weights", tiny_weights, "--out", tmp_path]
    fp16 = ["--precision", "fp16", "--calib-count", 2]
    result = run("build", *own, *fp16, "--fp16-keep", "/conv_hr/Conv")
    assert result.exit_code == 0, result.output
    assert "node /conv_hr/Conv stays in float32, asked for" in result.stdout
    manifest = json.loads((tmp_path / "tiny" / "manifest.json").read_text())
    assert manifest["fp16_kept"] == {"/conv_hr/Conv": "asked for"}
    assert manifest["options"]["fp16_keep"] == ["/conv_hr/Conv"]
    found = run("inspect", tmp_path / "tiny" / "tiny-fp16.onnx", "--json")
    kinds = {node["name"]: node["kind"] for node in json.loads(found.stdout)["nodes"]}
    assert kinds["/conv_hr/Conv"].endswith("-> float32")
    verified = run("verify", tmp_path, "--weights", tiny_weights, "--images", picture)
    assert verified.exit_code == 0, verified.output
    unknown = run("build", *own, *fp16, "--fp16-keep", "/nowhere/Conv")
    assert unknown.exit_code == 2
    assert "found no node '/nowhere/Conv'" in unknown.stderr


def test_verifying_nothing_is_a_failure(tmp_path: Path) -> None:
    result = run("verify", tmp_path)
    assert result.exit_code == 1
    assert "nothing to verify" in result.stderr


def test_a_finished_table_gives_the_same_int8_model(
    built: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    result = run(
        "build", "--model", "tiny", "--weights", tiny_weights,
        "--calib-table", built / "calibration.json", "--out", tmp_path,
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
    assert sha256_file(built / "tiny-fp32.onnx") in result.stderr
    assert not list((tmp_path / "dist" / "other").iterdir())


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


def test_with_json_an_error_is_json_too() -> None:
    result = run("build", "--model", "x5plus", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["kind"] == "UsageError"


def test_models_shows_the_published_costs() -> None:
    result = run("models", "--json")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["x4plus"]["parameters"] == 16_697_987
    assert rows["x4plus-anime-6b"]["parameters"] == 4_467_779
    assert round(rows["x4plus"]["macs"] / 1e9, 3) == 293.713
    assert round(rows["x4plus-anime-6b"]["macs"] / 1e9, 3) == 93.494
    assert round(rows["x4plus"]["vendor_gflops"], 3) == 653.675
    assert round(rows["x4plus-anime-6b"]["vendor_gflops"], 3) == 208.149


def test_inspect_says_what_each_node_computes_with(built: Path) -> None:
    result = run("inspect", built / "tiny-int8-ort.onnx", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    kinds = {(item["op_type"], item["kind"]): item["count"] for item in found["precision"]}
    integer = sum(count for (op, kind), count in kinds.items() if op == "Conv" and "int8" in kind)
    assert integer >= 15  # three dense blocks of five convolutions
    assert found["size_bytes"] == (built / "tiny-int8-ort.onnx").stat().st_size
    assert found["ranges"]
    assert all(item["low"] <= 0.0 <= item["high"] for item in found["ranges"])
    assert found["saturable"] == []
    assert "0 convolutions can saturate 16-bit accumulation" in run(
        "inspect", built / "tiny-int8-ort.onnx"
    ).stdout.replace("\n", " ")


def test_inspect_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    result = run("inspect", tmp_path / "text.onnx")
    assert result.exit_code == 2
    assert "is no ONNX model" in result.stderr
