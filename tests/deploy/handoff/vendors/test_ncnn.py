"""What is written for ncnn, its own engine runs; and our own reader reads it back."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from calib.errors import GraphError
from calib.runtime import Session
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.metrics.psnr_ssim import parity_db
from deploy.ncnn.from_onnx import layer_name, ncnn_layers
from deploy.ncnn.write import bin_content, input_scale, param_text
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.export import export_float
from deploy.network.load import load_network
from quant.qdq.int8_convolutions import Int8Convolution, int8_convolutions

ARCHITECTURES = [
    RRDBNet(2, 16, 8),
    RRDBNet(1, 8, 4, unshuffle=2),
    RRDBNet(1, 8, 4, unshuffle=4),
    SRVGG(3, 16, 4),
    SRVGG(2, 8, 2),
    SRVGG(2, 8, 2, "relu"),
    SRVGG(2, 8, 1, "leaky_relu"),
    *(RRDBNet(1, 8, 4, upsamplings=count) for count in (0, 1, 3)),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_a_float_pair_is_the_float_network(architecture, random_tensors, photo, tmp_path) -> None:
    pytest.importorskip("ncnn", reason="needs the ncnn engine: install the extra ncnn")
    from deploy.runtime.ncnn import ncnn_runner

    tensors = {name: tensor / 2 for name, tensor in random_tensors(architecture).items()}
    patch = np.ascontiguousarray(photo[:, :, :48, :64])
    model = export_float(architecture, tensors, [patch]).model
    layers = ncnn_layers(model)
    (tmp_path / "x.param").write_text(param_text(layers))
    (tmp_path / "x.bin").write_bytes(bin_content(layers))
    network_input = photo if (shape := tuple(
        d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim
    )) == photo.shape else np.ascontiguousarray(photo[:, :, : shape[2], : shape[3]])  # fmt: skip
    (expected,) = Session(model, optimized=True, threads=2).run({"input": network_input}).values()
    found = ncnn_runner(tmp_path / "x.param")(network_input)
    assert found.shape == expected.shape
    assert parity_db(expected, found) >= 110
    # numpy hands out transposed views; ncnn reads memory in its own order.
    view = np.asfortranarray(network_input)
    np.testing.assert_array_equal(ncnn_runner(tmp_path / "x.param")(view), found)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_our_own_reader_reads_the_pair_back(architecture, random_tensors, photo, tmp_path) -> None:
    tensors = random_tensors(architecture)
    patch = np.ascontiguousarray(photo[:, :, :16, :16])
    layers = ncnn_layers(export_float(architecture, tensors, [patch]).model)
    (tmp_path / "x.param").write_text(param_text(layers))
    (tmp_path / "x.bin").write_bytes(bin_content(layers))
    network = load_network("mine", tmp_path / "x.bin")
    assert network.architecture == architecture
    found = network.checkpoint.tensors
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_names_have_no_blank_and_are_used_once(unpacked: Path) -> None:
    lines = (unpacked / "ncnn" / "small-fp32.param").read_text().splitlines()[2:]
    names = [line.split()[1] for line in lines]
    assert len(set(names)) == len(names)
    assert "body.0.rdb1.conv1" in names


def test_ncnn_computes_the_int8_pair_as_our_qdq_graph(unpacked: Path) -> None:
    pytest.importorskip("ncnn", reason="needs the ncnn engine: install the extra ncnn")
    from deploy.runtime.ncnn import ncnn_runner

    run = ncnn_runner(unpacked / "ncnn" / "small-int8.param")
    for vector in read_contents(unpacked).golden[:3]:
        network_input = np.load(unpacked / golden_path("input", vector.name))
        expected = np.load(unpacked / golden_path("int8-tensorrt-10", vector.name))
        assert parity_db(expected, run(network_input)) >= 60
        floating = np.load(unpacked / golden_path("float", vector.name))
        assert parity_db(floating, run(network_input)) < 80  # it is int8 that was run


def test_the_table_has_two_lines_for_each_integer_convolution(unpacked: Path) -> None:
    ours = int8_convolutions(onnx.load(unpacked / "models" / "small-int8-tensorrt-10.onnx"))
    lines = (unpacked / "ncnn" / "small-int8.table").read_text().splitlines()
    table = {words[0]: np.array(words[1:], np.float64) for words in map(str.split, lines)}
    assert len(ours) == 16
    assert len(lines) == len(table) == 2 * len(ours)
    for node, convolution in ours.items():
        name = layer_name(onnx.NodeProto(name=node, op_type="Conv"))
        steps = convolution.weight_scales.astype(np.float64)
        np.testing.assert_allclose(table[f"{name}_param_0"], 1 / steps, rtol=1e-6)
        np.testing.assert_allclose(table[name], [1 / convolution.input_scale], rtol=1e-6)


def test_the_bundles_own_script_runs_it(unpacked: Path, tmp_path: Path) -> None:
    pytest.importorskip("ncnn", reason="needs the ncnn engine: install the extra ncnn")
    script = unpacked / "ncnn" / "ncnn_run.py"
    command = [sys.executable, script, unpacked / "ncnn" / "small-int8.param", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    for vector in read_contents(unpacked).golden:
        expected = np.load(unpacked / golden_path("int8-tensorrt-10", vector.name))
        assert parity_db(expected, np.load(tmp_path / f"{vector.name}.npy")) >= 60


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("Sigmoid(input)", "no counterpart"),
        ("Mul(input, input)", "one factor to be a constant"),
        ("Concat <axis = 2> (input, input)", "join channels"),
        ('DepthToSpace <blocksize = 2, mode = "DCR"> (input)', "order CRD"),
    ],
)
def test_what_ncnn_has_no_layer_for_is_refused(node: str, reason: str) -> None:
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[1,4,8,8] input) => (float[N,C,H,W] '
        f"output) {{ output = {node} }}"
    )
    model.graph.node[0].name = "odd"
    with pytest.raises(GraphError, match=f"node 'odd'.*{reason}"):
        ncnn_layers(model)


def test_another_kernel_is_refused() -> None:
    weight = numpy_helper.from_array(np.zeros((4, 4, 1, 1), np.float32), "w")
    bias = numpy_helper.from_array(np.zeros(4, np.float32), "b")
    value = [helper.make_tensor_value_info(n, 1, [1, 4, 8, 8]) for n in ("input", "output")]
    node = helper.make_node("Conv", ["input", "w", "b"], ["output"], "point")
    graph = helper.make_graph([node], "g", value[:1], value[1:], [weight, bias])
    with pytest.raises(GraphError, match="expected 3x3"):
        ncnn_layers(helper.make_model(graph))


def test_an_input_with_a_zero_point_is_refused() -> None:
    codes, steps = np.zeros((1, 1, 3, 3), np.int8), np.ones(1, np.float32)
    with pytest.raises(GraphError, match="zero point 3"):
        input_scale(Int8Convolution(codes, steps, 0.5, 3, steps))
