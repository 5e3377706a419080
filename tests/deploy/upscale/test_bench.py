"""The measurement of a build: every file in every runtime, with figures that fit together."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.runtime.timing import Timing
from tests.deploy.builds import FLOAT, INT8, run


def test_each_file_is_measured_in_each_setting(built: Path) -> None:
    arguments = ["bench", "--builds", built, "--tile", "32", "--tile", "24x40", "--rounds", "3"]
    result = run(*arguments, "--backend", "ort", "--threads", "1", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    rows = document["rows"]
    assert document["not_measured"] == []
    assert [(row["tile"], row["file"]) for row in rows] == [
        (tile, file) for tile in ("32x32", "24x40") for file in (FLOAT, INT8)
    ]
    for row in rows:
        assert (row["runtime"], row["threads"]) == ("ort", 1)
        assert 0 < row["median_ms"] <= row["p95_ms"]
        height, width = map(int, row["tile"].split("x"))
        megapixels = 16 * height * width / 1e6
        assert row["output_mp_s"] == pytest.approx(1000 * megapixels / row["median_ms"])
        assert row["size_bytes"] == (built / row["file"]).stat().st_size
        assert row["load_ms"] > 0
        assert row["peak_bytes"] > 20e6
    assert [row["times_as_fast_as_float"] for row in rows[::2]] == [1, 1]
    for row in rows:
        least, most = row["times_as_fast_as_float_between"]
        assert least <= row["times_as_fast_as_float"] <= most


def test_what_has_no_row_is_said(small_build: Path) -> None:
    arguments = ["bench", "--builds", small_build, "--tile", "16", "--rounds", "1"]
    result = run(*arguments, "--backend", "ort")
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if line[:1] == "\u2502"]
    left_out = {"small-int8-openvino.onnx"} - {f"small-{line.split()[1]}" for line in rows}
    assert ("not measured" in result.stdout) == bool(left_out)
    assert all(name in result.stdout for name in left_out)


def test_ncnn_stands_beside_the_others(built: Path) -> None:
    if not find_spec("ncnn"):
        pytest.skip("ncnn is not installed")
    result = run("bench", "--builds", built, "--tile", "16", "--rounds", "1", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert ("ncnn", "fp32") in {(row["runtime"], row["precision"]) for row in rows}


def test_median_and_p95_are_of_the_rounds() -> None:
    timing = Timing(tuple(float(number) for number in range(1, 101)))
    assert (timing.median, timing.p95) == (50.5, 95.0)
    assert (Timing((3.0, 1.0)).median, Timing((3.0, 1.0)).p95) == (2.0, 3.0)
