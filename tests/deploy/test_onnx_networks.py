"""An ONNX file of somebody's is built, verified against itself, and handed over."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from calib.digest import sha256_file
from deploy.artifacts.manifest import Manifest, read_manifest
from deploy.artifacts.weights_record import OnnxFileRecord
from deploy.network.onnx_file.export import export_onnx
from deploy.network.onnx_file.read import read_onnx_file
from quant.passes.lowering.catalogue import LOWERINGS, lower_graph
from tests.deploy.builds import run
from tests.deploy.onnx_files import lowerable_model, sr_model, written

TARGETS = ("ort", "tensorrt", "tensorrt-10", "openvino", "qnn", "qnn-w8a16")
QUICK = ("--size", "32x40", "--calib-count", 6, "--rounding", "nearest")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = sr_model(20, half=True, ends=("low res", "high res"))
    return written(tmp_path_factory.mktemp("given"), model, "Tiny SR.fp16.onnx")


@pytest.fixture(scope="module")
def result(given: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("dist")
    targets = [word for target in TARGETS for word in ("--target", target)]
    return out, run("build", "--onnx", given, *QUICK, *targets, "--out", out)


@pytest.fixture(scope="module")
def folder(result) -> Path:
    out, built = result
    assert built.exit_code == 0, built.output
    return out / "Tiny-SR.fp16-32x40"


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder / "manifest.json")


def test_it_builds_for_every_target_and_says_what_it_was_compared_with(result, folder) -> None:
    output = result[1].output
    (counted,) = [line for line in output.splitlines() if "checks passed, 0 failed" in line]
    assert "0 skipped" in counted
    (verdict,) = [line for line in output.splitlines() if line.startswith("verified, ")]
    assert verdict.endswith("; float compared with the ONNX file it was built from")
    assert "\nnot run here in the runtime it is made for: " in output
    assert "nodes are of operators that no rule here is about: " in output
    for operator in ("Sub (1)", "Div (1)", "ReduceMean (1)", "Split (1)", "Pad (1)"):
        assert operator in output


def test_the_manifest_says_which_file_it_was(given, manifest) -> None:
    weights = manifest.weights
    assert weights.files == {given.name: sha256_file(given)}
    assert weights.onnx == OnnxFileRecord("low res", "high res", "float16", 20)
    assert (manifest.network.scale, manifest.network.known_as) == (2, None)
    assert manifest.network.macs > 0
    assert manifest.parity.artifacts[manifest.float_artifact.path].reference == "onnx"
    assert manifest.parity.artifacts[manifest.float_artifact.path].psnr_db_min > 100.0


def test_verify_with_the_file_without_it_and_with_another(given, folder, tmp_path) -> None:
    with_it = run("verify", folder, "--onnx", given, "--backend", "none")
    assert with_it.exit_code == 0, with_it.output
    assert "0 skipped" in with_it.output
    assert "; float compared with the ONNX file it was built from" in with_it.output
    without = run("verify", folder, "--backend", "none")
    assert without.exit_code == 0, without.output
    assert "but float not compared with the ONNX file it was built from" in without.output
    assert f"{given.name} (sha256 {sha256_file(given)[:12]}" in " ".join(without.output.split())
    other = run("verify", folder, "--onnx", written(tmp_path, sr_model(17)), "--backend", "none")
    assert other.exit_code == 1
    assert "built from ONNX file" in other.output


def test_a_float_file_that_draws_something_else_fails(given, folder, tmp_path) -> None:
    from tests.deploy.builds import copied, rehash

    spoiled = copied(folder, tmp_path / "spoiled")
    path = spoiled / "Tiny-SR.fp16-32x40-fp32.onnx"
    model = onnx.load(path)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    path.write_bytes(model.SerializeToString(deterministic=True))
    rehash(spoiled)
    result = run("verify", spoiled, "--onnx", given, "--backend", "none")
    assert result.exit_code == 1
    assert f"weight {weight.name}: multiplied by 1.01" in " ".join(result.output.split())


def test_it_is_handed_over(folder, tmp_path) -> None:
    bundle = tmp_path / "bundle.zip"
    vendors = ("--vendor", "qnn", "--vendor", "tensorrt", "--vendor", "vacc")
    made = run("handoff", *vendors, folder, "--out", bundle)
    assert made.exit_code == 0, made.output
    checked = run("handoff", "--check", bundle)
    assert checked.exit_code == 0, checked.output


def test_a_batch_of_a_fixed_file(tmp_path) -> None:
    fixed = written(tmp_path, sr_model(13, shape=(1, 3, 32, 40)))
    arguments = ("build", "--onnx", fixed, "--precision", "fp32", "--batch", 2, "--out", tmp_path)
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert "build with --size 32x40" in " ".join(refused.output.split())
    built = run(*arguments, "--size", "32x40")
    assert built.exit_code == 0, built.output
    found = onnx.load(tmp_path / "net-32x40-b2" / "net-32x40-b2-fp32.onnx")
    assert [d.dim_value for d in found.graph.input[0].type.tensor_type.shape.dim] == [2, 3, 32, 40]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "{}"), "Tiny SR.fp16.onnx is an ONNX file: give it with --onnx"),
        (("--onnx", "{}", "--model", "x4plus"), "found --onnx beside --model; give one network"),
        (("--onnx", "{}", "--name", "x4plus"), "--name x4plus is the name of another network"),
        (("--onnx", "missing.onnx"), "cannot read missing.onnx"),
        (("--onnx", "{}", "--activation", "relu"), "says itself what its activations are"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message, given, tmp_path) -> None:
    words = [word.format(given) for word in arguments]
    result = run("build", *words, "--out", tmp_path)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_inspect_needs_no_shapes(given, tmp_path) -> None:
    result = run("inspect", given)
    assert result.exit_code == 0, result.output
    for fact in ("float16 [batch, 3, height, width]", "1,080 parameters", "the input is dynamic"):
        assert fact in " ".join(result.output.split())
    static = run("inspect", written(tmp_path, sr_model(shape=(1, 3, 32, 40))))
    assert "1,080 parameters, 0.001 G convolution" in " ".join(static.output.split())


WRITTEN_OTHERWISE = sorted(LOWERINGS.keys() - {"phases-to-resize"})


@pytest.mark.parametrize("lowering", WRITTEN_OTHERWISE)
def test_each_lowering_finds_its_place_in_a_file(lowering, tmp_path) -> None:
    file = read_onnx_file(written(tmp_path, lowerable_model()))
    made = export_onnx(file, [np.random.default_rng(0).random((1, 3, 16, 24), np.float32)])
    found = lower_graph(made.model, [lowering], made.probes)
    assert found.counts == {lowering: 1}
    assert list(found.notes()) == []


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (
            ("qnn", "tensorrt"),
            "resize-to-phases,depthtospace-to-transpose,spacetodepth-to-conv,prelu-to-relu,"
            "leakyrelu-to-max",
        ),
        (
            ("ort", "openvino"),
            "resize-to-convtranspose,depthtospace-to-convtranspose,clip-output",
        ),
    ],
    ids=["integers", "floats"],
)
def test_a_file_is_built_with_all_lowerings_that_go_together(targets, names, tmp_path) -> None:
    given = written(tmp_path, lowerable_model(), "low.onnx")
    options = [word for target in targets for word in ("--target", target)]
    out = tmp_path / "dist"
    quick = ("--size", "16x24", "--calib-count", 2, "--rounding", "nearest", "--no-report")
    built = run("build", "--onnx", given, *quick, *options, "--lower", names, "--out", out)
    assert built.exit_code == 0, built.output
    assert "as it is:" not in built.output
    assert "changes nothing" not in built.output
    verified = run("verify", out / "low-16x24", "--onnx", given, "--backend", "none")
    assert verified.exit_code == 0, verified.output
    assert "0 failed, 0 skipped" in verified.output
