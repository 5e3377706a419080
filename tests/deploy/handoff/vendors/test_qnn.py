import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.graph import GraphIndex
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.metrics.psnr_ssim import parity_db
from deploy.runtime.runner import model_runner
from quant.numerics.affine import INTEGER_TYPES, quantize
from quant.qdq.int8_convolutions import int8_convolutions
from quant.qdq.view import QdqView

CASES = [("w8a8", "qnn", 8), ("w8a16", "qnn-w8a16", 16)]


@pytest.mark.parametrize(("name", "profile", "bits"), CASES, ids=["w8a8", "w8a16"])
def test_encodings_are_the_scales_of_the_qdq_graph(
    unpacked: Path, name: str, profile: str, bits: int
) -> None:
    encodings = json.loads((unpacked / "qnn" / f"small-{name}.encodings.json").read_text())
    assert encodings["version"] == "1.0.0"
    view = QdqView(GraphIndex(onnx.load(unpacked / "models" / f"small-int8-{profile}.onnx")))
    activations = {entry["name"]: entry for entry in encodings["activation_encodings"]}
    for quantizer in view.quantizers:
        tensor = quantizer.node.input[0].removesuffix("_float")
        entry = activations[tensor]
        assert entry["bw"] == bits
        assert entry["scale"] == [float(quantizer.scale)]
        assert entry["offset"] == [-int(quantizer.zero_point)]
        assert entry["enc_type"] == "PER_TENSOR"
    weights = {entry["name"]: entry for entry in encodings["param_encodings"]}
    convolutions = [node for node in view.operators if node.op_type == "Conv"]
    assert len(weights) == len(convolutions) == 21
    for entry in weights.values():
        assert entry["is_sym"]
        assert set(entry["offset"]) == {-128}


@pytest.mark.parametrize(("name", "profile", "bits"), CASES, ids=["w8a8", "w8a16"])
def test_rounding_the_float_weights_gives_our_codes(
    unpacked: Path, name: str, profile: str, bits: int
) -> None:
    encodings = json.loads((unpacked / "qnn" / f"small-{name}.encodings.json").read_text())
    scales = {entry["name"]: entry["scale"] for entry in encodings["param_encodings"]}
    model = onnx.load(unpacked / "qnn" / f"small-fp32-{name}-grid.onnx")
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    ours = int8_convolutions(onnx.load(unpacked / "models" / f"small-int8-{profile}.onnx"))
    nodes = {node.name: node for node in model.graph.node}
    assert len(ours) == 21
    for node, convolution in ours.items():
        weight, bias = nodes[node].input[1:3]
        steps = np.array(scales[weight], np.float32).reshape(-1, 1, 1, 1)
        codes = quantize(weights[weight], steps, 0, INTEGER_TYPES["int8"])
        np.testing.assert_array_equal(codes, convolution.codes)
        np.testing.assert_array_equal(weights[bias], convolution.bias)


def test_the_graph_with_rounded_weights_lacks_only_16_bit_activations(unpacked: Path) -> None:
    vector = read_contents(unpacked).golden[0]
    network_input = np.load(unpacked / golden_path("input", vector.name))
    output = model_runner(unpacked / "qnn" / "small-fp32-w8a16-grid.onnx", optimized=True)(
        network_input
    )
    expected = np.load(unpacked / golden_path("int8-qnn-w8a16", vector.name))
    assert parity_db(np.clip(expected, 0, 1), np.clip(output, 0, 1)) > 60


def test_inputs_are_listed_in_the_order_of_the_golden_vectors(unpacked: Path) -> None:
    listed = (unpacked / "qnn" / "input_list.txt").read_text().splitlines()
    names = [vector.name for vector in read_contents(unpacked).golden]
    assert listed == [f"raw/{name}.raw" for name in names]
    for name in names:
        raw = np.fromfile(unpacked / "qnn" / "raw" / f"{name}.raw", np.float32)
        expected = np.load(unpacked / golden_path("input", name))
        np.testing.assert_array_equal(raw.reshape(expected.shape), expected)
