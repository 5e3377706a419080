"""What is too good to be int8, or was never computed, is not accepted, and the verdict says why."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from deploy.diagnosis.pictures import Finding
from deploy.diagnosis.saturation import saturating_model
from deploy.handoff.bundle_manifest import golden_path, read_contents
from deploy.handoff.returned.saturated import REMEDY, SATURATED, Worst, find_saturation
from deploy.progress import Silent
from deploy.runtime.runner import model_runner
from tests.deploy.builds import run
from tests.deploy.handoff.returned.returns import judge, save_all

PROFILES = ("openvino", "qnn", "qnn-w8a16", "tensorrt", "tensorrt-10")
ROUTES = [
    ("openvino", "openvino"), ("qnn", "qnn"), ("qnn", "qnn-w8a16"), ("tensorrt", "tensorrt"),
    ("ncnn", "tensorrt-10"), ("tensorrt", "tensorrt-10"), ("rknn", "qnn"), ("rknn", "openvino"),
    ("vacc", "qnn"),
]  # fmt: skip


def goldens(unpacked: Path, kind: str) -> dict[str, np.ndarray]:
    names = [vector.name for vector in read_contents(unpacked).golden]
    return {name: np.load(unpacked / golden_path(kind, name)) for name in names}


def computed(unpacked: Path, model: Path | onnx.ModelProto, *, optimized: bool):
    run_model = model_runner(model, optimized=optimized)
    return {name: run_model(array) for name, array in goldens(unpacked, "input").items()}


@pytest.fixture(scope="module")
def floats(unpacked: Path) -> dict[str, np.ndarray]:
    """The float outputs, as another float engine would compute them."""
    return computed(unpacked, unpacked / read_contents(unpacked).float_model, optimized=False)


@pytest.mark.parametrize(("vendor", "profile"), ROUTES)
def test_float_is_not_int8_of_any_vendor(folder, unpacked, floats, vendor, profile) -> None:
    save_all(folder, floats)
    found = judge(folder, unpacked, vendor, profile=profile)
    assert not found.passed
    (line,) = found.refusals
    assert line.startswith("not int8: 8 of 8 outputs are nearer to float than any 8-bit")
    assert "judge it with --precision fp32 or fp16" in line


@pytest.mark.parametrize("kind", ["float", *(f"int8-{profile}" for profile in PROFILES)])
def test_a_golden_file_is_no_result(folder, unpacked, kind: str) -> None:
    save_all(folder, goldens(unpacked, kind))
    found = judge(folder, unpacked, "qnn")
    assert not found.passed
    words = f"copied: 8 of 8 outputs are the bundle's own golden/{kind} to the last bit"
    assert found.refusals[0].startswith(words)


def test_neither_is_it_float(folder, unpacked, floats) -> None:
    save_all(folder, floats)
    assert judge(folder, unpacked, "qnn", precision="fp32").passed
    save_all(folder, goldens(unpacked, "float"))
    assert not judge(folder, unpacked, "qnn", precision="fp32").passed


@pytest.mark.parametrize("optimized", [False, True], ids=["reference", "fused"])
@pytest.mark.parametrize("profile", PROFILES)
def test_what_runtimes_make_of_the_int8_model_is_int8(folder, unpacked, profile, optimized) -> None:
    path = unpacked / read_contents(unpacked).int8_models[profile]
    vendor = profile.partition("-")[0]
    save_all(folder, computed(unpacked, path, optimized=optimized))
    found = judge(folder, unpacked, vendor, profile=profile)
    assert found.refusals == ()
    assert found.passed or optimized  # what this CPU makes of it may have saturated


def test_the_command_says_so_and_exits_1(
    folder, unpacked, floats, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_all(folder, floats)
    words = ("verify", "--returned", folder, unpacked, "--vendor", "qnn")
    result = run(*words, "--report", "page.html")
    assert result.exit_code == 1
    assert "FAIL  not int8" in result.stdout
    assert "NOT ACCEPTED" in result.stdout
    page = (tmp_path / "page.html").read_text()
    assert "Refused" in page
    assert "nearer to float than" in page
    assert page.index("nearer to float than") < page.index("returned against float, mean")


def test_a_black_picture_is_no_copy(folder, unpacked: Path, tmp_path: Path) -> None:
    import shutil

    spoiled = tmp_path / "bundle"
    shutil.copytree(unpacked, spoiled)
    black = np.zeros((1, 3, 256, 256), np.float32)
    for vector in read_contents(unpacked).golden:
        np.save(spoiled / golden_path("int8-qnn", vector.name), black)
    save_all(folder, goldens(spoiled, "int8-qnn"))
    assert {image.copied for image in judge(folder, spoiled, "qnn").images} == {None}


class TestSaturation:
    """A CPU without VNNI is recognised by what it makes of the file."""

    def test_it_is_named_with_the_remedy(self, unpacked: Path) -> None:
        manifest = read_contents(unpacked)
        model = saturating_model(onnx.load(unpacked / manifest.int8_models["qnn"]))
        assert model is not None, "the bundle's qnn file is not limited to 16 bits"
        name = manifest.golden[0].name
        network_input = np.load(unpacked / golden_path("input", name))
        for graph, named in ((model, True), (unpacked / manifest.int8_models["qnn"], False)):
            output = model_runner(graph, optimized=False)(network_input)
            found = find_saturation(unpacked, manifest, "qnn", Worst(name, 0.0, output), Silent())
            assert (found is not None) == named
            if found is not None:
                assert found.cause == SATURATED
                assert "session.x64quantprecision=1" in found.explanation

    def test_the_verdict_names_it(self, folder, unpacked: Path, outputs) -> None:
        save_all(folder, outputs)
        finding = Finding(SATURATED, REMEDY, 30.0, 50.0)
        found = replace(judge(folder, unpacked, "qnn"), explained=finding)
        assert found.cause == SATURATED
        assert found.record()["explanation"] == REMEDY

    def test_another_error_is_not_put_down_to_it(self, folder, unpacked: Path) -> None:
        save_all(folder, goldens(unpacked, "float"), lambda array: array[:, ::-1])
        found = judge(folder, unpacked, "qnn")
        assert found.explained is None
        assert "channels swapped" in (found.cause or "")
