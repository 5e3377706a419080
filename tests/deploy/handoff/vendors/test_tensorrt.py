import re
import struct
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.bundle_zip import opened
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.handoff.vendors.tensorrt import calibration_cache
from deploy.progress import Silent
from quant.plan import EdgeQuant, QuantPlan
from quant.qdq.rules import check_rules
from quant.qdq.view import QdqView
from quant.targets import find_profile

PROFILES = ("tensorrt", "tensorrt-10")


def read_cache(text: str) -> dict[str, float]:
    """Read a cache as onnxruntime's TensorRT provider does: name, blank, big-endian float32."""
    lines = text.splitlines()
    assert lines[0].startswith("TRT-")
    assert lines[0].endswith("-EntropyCalibration2")
    pairs = [line.rsplit(": ", 1) for line in lines[1:]]
    return {name: struct.unpack(">f", bytes.fromhex(value))[0] for name, value in pairs}


def test_a_cache_holds_the_bits_of_each_scale() -> None:
    edge = EdgeQuant("input", "int8", 1 / 127, 0, -1.0, 1.0, "pinned", ("conv",), None, 100.0)
    plan = QuantPlan("tensorrt", "", "", {}, {"input": edge}, {}, {}, (), {})
    text = calibration_cache(plan)
    assert text.splitlines()[1] == "input: 3c010204"
    assert read_cache(text) == {"input": pytest.approx(1 / 127, rel=1e-7)}


def test_the_cache_says_what_the_qdq_graph_says(unpacked: Path) -> None:
    cache = read_cache((unpacked / "tensorrt" / "calibration.cache").read_text())
    qdq = onnx.load(unpacked / "models" / "small-int8-tensorrt.onnx")
    quantizers = QdqView(GraphIndex(qdq)).quantizers
    assert len(quantizers) > 15
    assert {q.node.input[0]: float(q.scale) for q in quantizers} == cache
    names = {name for node in onnx.load(unpacked / "models" / "small-fp32.onnx").graph.node
             for name in (*node.input, *node.output)}  # fmt: skip
    assert set(cache) <= names


def test_the_qdq_graph_keeps_the_targets_rules(unpacked: Path) -> None:
    model = onnx.load(unpacked / "models" / "small-int8-tensorrt.onnx")
    assert not list(check_rules(model, find_profile("tensorrt")))


@pytest.mark.parametrize(
    "profiles", [("tensorrt",), ("tensorrt-10",), ("tensorrt", "tensorrt-10")], ids=" and ".join
)
def test_each_version_has_a_command_or_is_told_what_to_ask_for(
    small_build: Path, tmp_path: Path, profiles: tuple[str, ...]
) -> None:
    request = HandoffRequest(small_build, ("nvidia",), out=tmp_path / "x.zip", profiles=profiles)
    with opened(make_handoff(request, Silent()).path) as root:
        text = (root / "tensorrt" / "README.md").read_text(encoding="utf-8")
        rows = dict(re.findall(r"^\| (1[01][^|]*?) (?:\([^|]*\) )?\| (.*) \|$", text, re.MULTILINE))
        for profile in PROFILES:
            path = f"../models/small-int8-{profile}.onnx"
            there = (root / "tensorrt" / path).is_file()
            assert there == (profile in profiles)
            assert any(f"--onnx={path} " in row for row in rows.values()) == there
            assert any(f"`--profile {profile}`" in row for row in rows.values()) != there
    options = {
        version: set(re.findall(r"--(?!onnx|saveEngine|profile)\w+", row))
        for version, row in rows.items()
    }
    assert options.get("11", set()) == set()
    assert options.get("10.12 to 10.16", {"--stronglyTyped"}) == {"--stronglyTyped"}
    weak = {"--int8", "--fp16"} if "tensorrt-10" in profiles else set()
    assert options["10.11 and older"] == weak
    assert ("say which of the two files" in text) == (len(profiles) == 2)
    assert "\n\n\n" not in text


def test_raw_inputs_are_the_golden_inputs(unpacked: Path) -> None:
    for vector in read_contents(unpacked).golden:
        raw = np.fromfile(unpacked / "tensorrt" / "raw" / f"{vector.name}.raw", np.float32)
        expected = np.load(unpacked / golden_path("input", vector.name))
        np.testing.assert_array_equal(raw.reshape(expected.shape), expected)
