"""inspect and models through the command line."""

import json
import shutil
from pathlib import Path

from tests.deploy.builds import run


def test_models_shows_the_published_costs() -> None:
    result = run("models", "--json")
    assert result.exit_code == 0
    rows = {row["model"]: row for row in json.loads(result.stdout)["models"]}
    assert rows["x4plus"]["parameters"] == 16_697_987
    assert rows["x4plus-anime-6b"]["parameters"] == 4_467_779
    assert round(rows["x4plus"]["macs"] / 1e9, 3) == 293.713
    assert round(rows["x4plus-anime-6b"]["macs"] / 1e9, 3) == 93.494
    assert round(rows["x4plus"]["vastai_gflops"], 3) == 653.675
    assert round(rows["x4plus-anime-6b"]["vastai_gflops"], 3) == 208.149


def test_inspect_says_what_each_node_computes_with(built: Path) -> None:
    result = run("inspect", built / "tiny-int8-ort.onnx", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    kinds = {
        (item["operator"], item["inputs_output"]): item["nodes"] for item in found["precision"]
    }
    integer = sum(count for (op, kind), count in kinds.items() if op == "Conv" and "int8" in kind)
    assert integer >= 15  # three dense blocks of five convolutions
    assert found["size_bytes"] == (built / "tiny-int8-ort.onnx").stat().st_size
    assert found["ranges"]
    assert all(item["low"] <= 0.0 <= item["high"] for item in found["ranges"])
    assert found["saturable"] == []
    assert "0 convolutions can saturate 16-bit accumulation" in run(
        "inspect", built / "tiny-int8-ort.onnx"
    ).stdout.replace("\n", " ")


def test_inspect_begins_with_what_goes_in_and_out(built: Path) -> None:
    path = built / "tiny-int8-ort.onnx"
    lines = run("inspect", path).stdout.splitlines()
    assert lines[1].split() == ["input", "input", "float32", "[1,", "3,", "128,", "128]"]
    assert lines[2].split() == ["output", "output", "float32", "[1,", "3,", "512,", "512]"]
    record = json.loads(run("inspect", path, "--json").stdout)
    assert record["inputs"] == [{"name": "input", "dtype": "float32", "shape": [1, 3, 128, 128]}]
    counts = record["convolutions"]
    assert 0 < counts["int8"] < counts["count"] == 21
    assert counts["macs"] == record["cost"]["macs"]
    share = round(100 * path.stat().st_size / (built / "tiny-fp32.onnx").stat().st_size)
    said = f"{counts['int8']} of 21 convolutions in int8, {share} % of the float file's size"
    assert lines[3].startswith(said)


def test_inspect_of_a_folder_lists_its_models(built: Path, tmp_path: Path) -> None:
    result = run("inspect", built, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    names = [Path(item["file"]).name for item in found["models"]]
    assert names == ["tiny-fp16.onnx", "tiny-fp32.onnx", "tiny-int8-ort.onnx"]
    assert [item["convolutions"]["int8"] > 0 for item in found["models"]] == [False, False, True]
    shown = run("inspect", built).stdout
    assert all(name in shown for name in names)

    (tmp_path / ".unfinished").mkdir()
    shutil.copy(built / "tiny-fp32.onnx", tmp_path / ".unfinished")
    (tmp_path / "damaged.onnx").write_text("not a model")
    shutil.copy(built / "tiny-fp16.onnx", tmp_path)
    broken = run("inspect", tmp_path)
    assert broken.exit_code == 2
    assert "tiny-fp16.onnx" in broken.stdout
    assert "tiny-fp32.onnx" not in broken.stdout
    assert "damaged.onnx is no ONNX model" in broken.stderr


def test_inspect_of_a_folder_without_models_or_with_the_options_of_a_file(
    built: Path, tmp_path: Path
) -> None:
    assert "no .onnx file" in run("inspect", tmp_path).stderr
    for option in (["--rules", "qnn"], ["--nodes"], ["--ranges"]):
        result = run("inspect", built, *option)
        assert result.exit_code == 2
        assert "take one file" in result.stderr


def test_violations_are_shown_by_rule(built: Path) -> None:
    path = built / "tiny-int8-ort.onnx"
    each = json.loads(run("inspect", path, "--rules", "tensorrt", "--json").stdout)["violations"]
    result = run("inspect", path, "--rules", "tensorrt")
    assert result.exit_code == 1
    said = [line for line in result.stdout.splitlines() if ": expected " in line]
    assert len(said) == len({(item["rule"], item["expected"]) for item in each}) < len(each)
    assert f"in {len(each)} places" in result.stdout


def test_inspect_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    result = run("inspect", tmp_path / "text.onnx")
    assert result.exit_code == 2
    assert "is no ONNX model" in result.stderr
