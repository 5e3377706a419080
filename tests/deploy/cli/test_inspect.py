"""inspect and models through the command line."""

import json
from pathlib import Path

from tests.deploy.builds import run


def test_models_shows_the_published_costs() -> None:
    result = run("models", "--json")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.stdout)["models"]}
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
