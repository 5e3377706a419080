"""Float models for tools that quantize by themselves have the weights of our int8 models."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from calib.digest import sha256_file
from calib.graph import GraphIndex
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.bundle_zip import opened
from deploy.handoff.check import check_bundle
from deploy.progress import Silent
from quant.qdq.int8_convolutions import int8_convolutions


def rounded_per_channel(weight: np.ndarray) -> np.ndarray:
    """Round a weight as a vendor does: symmetric, its largest value the largest code."""
    step = np.abs(weight).reshape(len(weight), -1).max(axis=1) / 127
    step = np.where(step, step, 1).reshape(-1, 1, 1, 1)
    return np.rint(weight / step) * step


def test_float_models_for_other_quantizers_have_the_weights_of_ours(unpacked: Path) -> None:
    manifest = read_contents(unpacked)
    assert set(manifest.quantizable_models) == {"qnn", "tensorrt"}
    for profile, path in manifest.quantizable_models.items():
        index = GraphIndex(onnx.load(unpacked / path))
        ours = int8_convolutions(onnx.load(unpacked / manifest.int8_models[profile]))
        assert len(ours) > 10
        nodes = {node.name: node for node in index.nodes if node.op_type == "Conv"}
        recovered = 0
        for name, convolution in ours.items():
            weight = index.constant(nodes[name].input[1])
            np.testing.assert_array_equal(weight, convolution.weight)
            np.testing.assert_array_equal(index.constant(nodes[name].input[2]), convolution.bias)
            same = np.isclose(rounded_per_channel(weight), weight, rtol=1e-5, atol=0)
            count = int(same.reshape(len(weight), -1).all(axis=1).sum())
            assert count >= convolution.recovered_channels
            recovered += convolution.recovered_channels
        channels = sum(len(convolution.codes) for convolution in ours.values())
        assert recovered > 0.9 * channels
        if profile == "tensorrt":
            said = f"{recovered} of {channels} channels come back exactly"
            assert said in " ".join((unpacked / "tensorrt" / "README.md").read_text().split())


def test_a_grid_for_other_chips_is_not_limited_by_16_bit_sums(
    vacc_only: Path, small_build: Path
) -> None:
    """The build's own weights are: on their grid a vendor's rounding would come to others."""
    with opened(vacc_only) as root:
        grid = GraphIndex(onnx.load(root / read_contents(root).quantizable_models["openvino"]))
    limited = int8_convolutions(onnx.load(small_build / "small-int8-openvino.onnx"))
    nodes = {node.name: node for node in grid.nodes if node.op_type == "Conv"}
    differ = [
        name
        for name, convolution in limited.items()
        if not np.array_equal(grid.constant(nodes[name].input[1]), convolution.weight)
    ]
    assert differ


def test_a_float_model_on_another_grid_is_found(unpacked: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(unpacked, tmp_path / "bundle"))
    manifest = read_contents(folder)
    path = folder / manifest.quantizable_models["qnn"]
    model = onnx.load(path)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    (weight,) = (one for one in model.graph.initializer if one.name == first.input[1])
    spoiled = numpy_helper.to_array(weight) * np.float32(1.1)
    weight.CopyFrom(numpy_helper.from_array(spoiled, weight.name))
    path.write_bytes(model.SerializeToString())
    files = tuple(
        replace(item, sha256=sha256_file(folder / item.path), size_bytes=path.stat().st_size)
        if folder / item.path == path
        else item
        for item in manifest.files
    )
    (folder / "manifest.json").write_bytes(replace(manifest, files=files).content())
    failed = [one for one in check_bundle(folder, Silent()).checks if one.status == "failed"]
    assert ("grid weights", manifest.quantizable_models["qnn"]) in {
        (one.name, one.artifact) for one in failed
    }
