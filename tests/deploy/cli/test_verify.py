"""verify through the command line: good builds pass, spoiled ones fail and are named."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.deploy.builds import INT8, edit_initializer, run


def test_a_good_build_verifies(built: Path, tiny_weights: Path) -> None:
    result = run("verify", built, "--weights", tiny_weights, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["passed"]
    (build,) = report["builds"]
    assert {item["file"] for item in build["files"]} == {
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


def test_one_changed_scale_fails_although_its_digest_was_recomputed(
    copy: Path, picture: Path
) -> None:
    path = copy / "tiny-int8-ort.onnx"
    scales = [item.name for item in onnx.load(path).graph.initializer if "scale" in item.name]
    name = scales[len(scales) // 2]
    edit_initializer(copy, path.name, name, lambda scale: scale * 1.02)
    result = run("verify", copy, "--images", picture)
    assert result.exit_code == 1, result.output
    assert "FAIL  tiny-int8-ort.onnx  derivation" in result.stdout
    assert name in " ".join(result.stdout.split())


def test_one_changed_code_fails_although_the_file_digest_was_recomputed(copy: Path) -> None:
    def one_step(codes: np.ndarray) -> np.ndarray:
        codes[0, 0, 0, 0] += 1 if codes[0, 0, 0, 0] < 100 else -1
        return codes

    edit_initializer(copy, INT8, "body.0.rdb2.conv3.weight_quantized", one_step)
    result = run("verify", copy)
    assert result.exit_code == 1, result.output
    shown = " ".join(result.stdout.split())
    assert "FAIL tiny-int8-ort.onnx rounding: weight body.0.rdb2.conv3.weight" in shown


def test_one_changed_float_weight_fails_although_its_digest_was_recomputed(
    copy: Path, picture: Path
) -> None:
    edit_initializer(copy, "tiny-fp32.onnx", "conv_first.weight", lambda weight: weight * 1.02)
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
    # The fp16 file was judged as onnxruntime executes it already.
    assert {item["file"]: item["runtime"].split()[0] for item in build["backends"]} == {
        "tiny-int8-ort.onnx": "ort"
    }
    assert build["machine"]["architecture"]
    layers = build["layers"]["tiny-int8-ort.onnx"]
    assert [error["node"] for error in layers][-1] == "/conv_last/Conv"
    assert all(finding["largest"] < 65504 for finding in build["fp16"])
    shown = run(*common, "--layers")
    assert shown.exit_code == 0, shown.output
    assert "no verdict rests on it" in shown.stdout
    (image,) = build["layer_pictures"]
    assert [drawn["picture"] for drawn in build["backends"][0]["pictures"]] == [image]
    said = " ".join(shown.stdout.split())
    assert f"tensors, on {image}" in said
    assert "beside the reference: tiny-fp32.onnx, tiny-fp16.onnx: the verdict is of what" in said
    assert set(build["not_run"]) == {"tiny-fp32.onnx", "tiny-fp16.onnx"}
    assert "this machine: " in shown.stdout
    assert f"the 10 worst of {len(layers)} tensors" in shown.stdout
    assert build["not_run_here"] == []
    assert "not run here in the runtime" not in said
    assert f"output, has {layers[-1]['sqnr_db']:.2f} dB" in said
    assert "27 dB and SSIM 0.6 of int8 are low on purpose" in said


def test_backends_and_layers_are_left_out_where_not_wanted(
    built: Path, tiny_weights: Path, picture: Path
) -> None:
    result = run(
        "verify", built, "--weights", tiny_weights, "--images", picture,
        "--backend", "none", "--json",
    )  # fmt: skip
    (build,) = json.loads(result.stdout)["builds"]
    assert (build["backends"], build["layers"], build["machine"]) == ([], {}, None)
    assert (build["speed"], build["not_run"]) == ([], {})
    assert build["not_run_here"] == [INT8]
    refused = run("verify", built, "--backend", "none", "--backend", "ort")
    assert refused.exit_code == 2
    assert "none alone" in refused.stderr


def test_no_artifact_holds_what_a_backend_of_this_machine_makes(built: Path) -> None:
    for name in ("manifest.json", "parity.json"):
        content = (built / name).read_text()
        assert "backend" not in content
        assert "AVX" not in content


def test_verifying_nothing_is_bad_input(tmp_path: Path) -> None:
    result = run("verify", tmp_path)
    assert result.exit_code == 2
    assert "nothing to verify" in result.stderr


def test_the_verdict_claims_the_level_that_was_reached(built: Path, picture: Path) -> None:
    common = ["verify", built, "--images", picture, "--backend", "none"]
    (build,) = json.loads(run(*common, "--json").stdout)["builds"]
    lowest = {item["file"]: item["parity_db_lowest"] for item in build["files"]}
    unseen = {item["file"]: item["verdict"] == "cannot be told apart" for item in build["files"]}
    assert unseen == {name: db >= 40.0 for name, db in lowest.items()}
    lines = run(*common).stdout.splitlines()
    assert "not run here in the runtime it is made for: tiny-int8-ort.onnx" in lines
    verdict = lines[-1]
    assert verdict.startswith("verified, ")
    assert ("cannot be told from float" in verdict) == all(unseen.values())
    claimed = float(re.search(r"at least ([0-9.]+) dB", verdict)[1])
    assert 0.0 <= min(lowest.values()) - claimed < 0.1


def test_the_table_shows_what_each_file_needs(built: Path, picture: Path) -> None:
    shown = run("verify", built, "--images", picture, "--backend", "none").stdout
    header = next(line for line in shown.splitlines() if "lowest" in line)
    assert header.count("needs") == 2
    lines = [line for line in shown.splitlines() if "\u2502" in line]
    row = next(line for line in lines if "tiny-int8-ort.onnx" in line)
    assert [cell.strip() for cell in row.split("\u2502")][5] == "27"
    assert "it cannot be told apart where it reaches that and 40 dB" in " ".join(shown.split())
    # Whatever stands in the table has its limit beside it.
    figures = {"parity dB mean", "lowest", "SSIM lowest"}
    columns = {cell.strip() for cell in re.split("[\u2503\u2502]", header)} - {""}
    assert columns == {"file", "against", "needs", "verdict", *figures}


def test_each_file_is_timed_or_says_why_not(built: Path, picture: Path) -> None:
    (build,) = json.loads(run("verify", built, "--images", picture, "--json").stdout)["builds"]
    speed = {item["file"]: item for item in build["speed"]}
    assert set(speed) == {"tiny-fp32.onnx", "tiny-int8-ort.onnx"}
    assert all(item["latency_ms"] > 0 for item in speed.values())
    assert speed["tiny-fp32.onnx"]["times_as_fast_as_float"] == 1.0
    assert build["convolutions_in_int8"] == {"tiny-int8-ort.onnx": {"int8": 16, "count": 21}}
