import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.images import read_image
from calib.runtime import Session
from deploy.handoff.bundle_manifest import read_contents

NEWEST_OPSET = 19  # rknn-toolkit2 2.5.0: "Unsupport onnx opset 21, need <= 19"


def test_every_route_has_a_file_that_rknn_takes(unpacked: Path) -> None:
    settings = json.loads((unpacked / "rknn" / "settings.json").read_text())
    assert settings["model"] == "small"
    assert list(settings["routes"]) == ["float", "qdq", "qdq-mixed", "quantize"]
    for route, path in settings["routes"].items():
        model = onnx.load(unpacked / "rknn" / path)
        quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        assert quantized == route.startswith("qdq")
        assert model.opset_import[0].version <= NEWEST_OPSET


def test_a_pair_stands_on_either_side_of_every_concat(unpacked: Path) -> None:
    routes = json.loads((unpacked / "rknn" / "settings.json").read_text())["routes"]
    (mixed,) = (unpacked / "models").glob("*-int8-openvino.onnx")
    joined, paired = onnx.load(mixed), onnx.load(unpacked / "rknn" / routes["qdq-mixed"])
    for model, expected in ((joined, "QuantizeLinear"), (paired, "DequantizeLinear")):
        makers = {name: node.op_type for node in model.graph.node for name in node.output}
        concats = [node for node in model.graph.node if node.op_type == "Concat"]
        assert concats
        assert {makers[node.input[0]] for node in concats} == {expected}
    picture = np.random.default_rng(0).random((1, 3, 128, 128), np.float32)
    np.testing.assert_array_equal(
        *(
            Session(model, optimized=False, threads=1).run({"input": picture})["output"]
            for model in (joined, paired)
        )
    )


def test_the_dataset_lists_the_calibration_pictures(unpacked: Path) -> None:
    listed = (unpacked / "rknn" / "dataset.txt").read_text().splitlines()
    assert len(listed) == 2
    for line in listed:
        assert read_image(unpacked / "rknn" / line).shape == (128, 128, 3)


def test_golden_inputs_are_8_bit_pictures(unpacked: Path) -> None:
    for vector in read_contents(unpacked).golden:
        array = np.load(unpacked / "rknn" / "golden" / f"{vector.name}.npy")
        picture = read_image(unpacked / "golden" / "picture" / f"{vector.name}.png")
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array[0], picture)


FAKE_SDK = """
import json, sys
from pathlib import Path
import numpy as np

CALLS = Path("calls.json")
calls = []

class RKNN:
    def __init__(self, verbose): pass
    def config(self, **options): calls.append(["config", options]); return 0
    def load_onnx(self, path): calls.append(["load_onnx", Path(path).name]); return 0
    def build(self, **options): calls.append(["build", options]); return 0
    def export_rknn(self, path): Path(path).write_bytes(b"rknn"); return 0
    def init_runtime(self, target): calls.append(["init_runtime", target]); return 0
    def inference(self, inputs, data_format):
        calls.append(["inference", [str(inputs[0].dtype), list(inputs[0].shape), data_format]])
        return [np.zeros((1, 3, 256, 256), np.float32)]
    def release(self): CALLS.write_text(json.dumps(calls))
"""


@pytest.mark.parametrize("route", ["quantize", "qdq"])
def test_the_script_drives_the_sdk_as_documented(
    unpacked: Path, tmp_path: Path, route: str
) -> None:
    sdk = tmp_path / "rknn"
    sdk.mkdir()
    (sdk / "__init__.py").write_text("")
    (sdk / "api.py").write_text(FAKE_SDK)
    script = unpacked / "rknn" / "rknn_run.py"
    command = [sys.executable, script, "--route", route, "--out", "out"]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    calls = json.loads((tmp_path / "calls.json").read_text())
    config = dict(calls)["config"]
    assert config["mean_values"] == [[0, 0, 0]]
    assert config["std_values"] == [[255, 255, 255]]
    assert config["target_platform"] == "rk3588"
    expected = "small-int8-qnn.onnx" if route == "qdq" else "small-fp32-qnn-grid.onnx"
    assert dict(calls)["load_onnx"] == expected
    assert dict(calls)["build"]["do_quantization"] == (route == "quantize")
    assert (dict(calls)["build"]["dataset"] is None) == (route == "qdq")
    assert dict(calls)["init_runtime"] is None
    assert dict(calls)["inference"] == ["uint8", [1, 128, 128, 3], ["nhwc"]]
    names = [f"{vector.name}.npy" for vector in read_contents(unpacked).golden]
    assert sorted(path.name for path in (tmp_path / "out" / "returned").iterdir()) == names
    assert (tmp_path / "out" / f"small-{route}-rk3588.rknn").is_file()


def test_missing_calibration_pictures_are_asked_for(unpacked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle" / "rknn"
    folder.mkdir(parents=True)
    for name in ("rknn_run.py", "array_files.py", "settings.json"):
        (folder / name).write_bytes((unpacked / "rknn" / name).read_bytes())
    for name in ("models", "rknn/golden"):
        shutil.copytree(unpacked / name, tmp_path / "bundle" / name)
    (tmp_path / "rknn").mkdir()
    (tmp_path / "rknn" / "__init__.py").write_text("")
    (tmp_path / "rknn" / "api.py").write_text(FAKE_SDK)
    command = [sys.executable, folder / "rknn_run.py", "--out", tmp_path / "out"]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs calibration pictures in ../calibration/images" in done.stderr
