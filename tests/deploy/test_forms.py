"""Builds whose files take and give pictures in other forms: verified, run, handed over, judged."""

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from calib.colours import RGB
from calib.errors import UsageError
from calib.form import Form
from calib.graph import form_of
from calib.images import read_image, resize_area, to_input, write_image
from calib.runtime import Session
from calib.tile import Tile
from deploy.artifacts.manifest import read_manifest
from deploy.build.calibrate import CalibrationRequest
from deploy.build.request import BuildRequest
from deploy.handoff.bundle_zip import opened
from deploy.handoff.check import check_bundle
from deploy.handoff.make import HandoffRequest, make_handoff
from deploy.handoff.returned.judge import judge_returned
from deploy.handoff.returned.request import ReturnedRequest
from deploy.handoff.standalone import processing
from deploy.handoff.vendors import vendors
from deploy.inspection import inspect_file
from deploy.network.architecture import SRVGG, Architecture, RRDBNet
from deploy.pipeline import BuildOutcome, build_model
from deploy.progress import Silent
from deploy.runtime.resized import resized_model
from deploy.runtime.runner import model_runner
from deploy.verify.verdict import verify_tree
from quant.plan import QuantOptions
from tests.deploy.builds import edit_manifest, run
from tests.deploy.test_every_network import draws_in_range

NETWORKS: dict[str, Architecture] = {
    "srvgg": SRVGG(1, 6, 2),
    "unshuffle": RRDBNet(1, 6, 3, unshuffle=2),
    "rrdb": RRDBNet(1, 6, 3, upsamplings=1),
}
CASES = {
    "all three": ("srvgg", Form("uint8", "nhwc", "bgr"), Tile(16, 24), ("qnn", "ort", "openvino")),
    "bytes": ("unshuffle", Form("uint8"), Tile(16, 24), ("tensorrt", "tensorrt-10", "qnn-w8a16")),
    "layout and order": (
        "rrdb",
        Form("float", "nhwc", "bgr"),
        Tile(16, 24, 2),
        ("qnn", "tensorrt"),
    ),
}
VENDORS = {
    "qnn": "qnn",
    "qnn-w8a16": "qnn",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt-10": "tensorrt",
}
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory):
    """A function from a case to its build, made once."""
    out = tmp_path_factory.mktemp("forms")

    @cache
    def make(name: str) -> BuildOutcome:
        network, form, tile, targets = CASES[name]
        weights = out / f"{network}.safetensors"
        save_file(draws_in_range(NETWORKS[network]), weights)
        return build_model(
            BuildRequest(
                network,
                targets=targets,
                tile=tile,
                weights=weights,
                calibration=CalibrationRequest(count=1),
                quantization=QuantOptions(rounding="nearest"),
                out=out,
                report=False,
                form=form,
            ),
            Silent(),
        )

    return make


@pytest.mark.parametrize("name", CASES)
def test_every_file_is_in_the_form_and_draws_the_picture(built, name: str) -> None:
    _, form, tile, targets = CASES[name]
    outcome = built(name)
    assert [item for item in outcome.verification.checks if item.status != "passed"] == []
    assert outcome.verification.passed
    manifest = read_manifest(outcome.folder / "manifest.json")
    assert manifest.network.form == form
    assert len(manifest.models()) == 2 + len(targets)
    for item in manifest.models():
        found = inspect_file(outcome.folder / item.path)
        assert found.form == form
        assert found.inputs[0].shape == form.shape(tile.shape)
        assert found.inputs[0].dtype == ("uint8" if form.values == "uint8" else "float32")
        assert found.outputs[0].dtype == "float32"
    (again,) = verify_tree(
        outcome.folder,
        images=None,
        weights=outcome.folder.parent / f"{CASES[name][0]}.safetensors",
        progress=Silent(),
    )
    assert again.passed


@pytest.mark.parametrize("name", CASES)
def test_a_file_works_at_other_sizes_in_its_form(built, name: str) -> None:
    outcome = built(name)
    picture = np.rint(RNG.random((1, 3, 16, 24)) * 255).astype(np.float32) / np.float32(255)
    tall = np.concatenate([picture, picture], axis=2)
    for item in outcome.manifest.models():
        model = onnx.load(outcome.folder / item.path)
        resized = resized_model(model, 32, 24, outcome.manifest.network.scale)
        small, large = (model_runner(one, optimized=False) for one in (model, resized))
        half, whole = small(picture), large(tall)
        assert whole.shape == (1, 3, 2 * half.shape[2], half.shape[3])
        assert np.abs(whole[:, :, :6] - half[:, :, :6]).max() < 0.02


@pytest.mark.parametrize("name", CASES)
def test_a_bundle_is_in_the_form_throughout(
    built, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, form, tile, targets = CASES[name]
    vendors = tuple(dict.fromkeys(VENDORS[target] for target in targets if target in VENDORS))
    bundle = make_handoff(
        HandoffRequest(built(name).folder, vendors, out=tmp_path / "b.zip"), Silent()
    )
    checked = check_bundle(bundle.path, Silent())
    assert [item for item in checked.checks if item.status == "failed"] == []
    assert checked.passed
    with opened(bundle.path) as root:
        monkeypatch.setattr(processing, "MANIFEST", root / "manifest.json")
        vectors = bundle.manifest.golden
        pictures = [read_image(root / f"golden/picture/{one.name}.png") for one in vectors]
        given = np.load(root / f"golden/input/{vectors[0].name}.npy")
        (ready,) = processing.batches(pictures[: tile.batch], tile.batch)
        np.testing.assert_array_equal(ready, given, strict=True)
        planes = np.concatenate([to_input(one, RGB) for one in pictures[: tile.batch]])
        np.testing.assert_array_equal(form.planes_taken(given), planes)
        profile = next(target for target in targets if target in bundle.manifest.int8_models)
        session = Session(root / bundle.manifest.int8_models[profile], optimized=False)
        returned = tmp_path / "returned"
        returned.mkdir()
        for vector in vectors:
            taken = np.load(root / f"golden/input/{vector.name}.npy")
            output = session.run({"input": taken})["output"]
            output.tofile(returned / f"{vector.name}.raw")
        shown = processing.to_picture(processing.as_planes(output))
        assert shown.shape == (*form.planes_given(output).shape[2:], 3)
    judged = judge_returned(
        ReturnedRequest(returned, bundle.path, VENDORS[profile], profile=profile), Silent()
    )
    assert judged.passed, judged.problems


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_picture_is_enlarged_with_such_a_build(built, tmp_path: Path, precision: str) -> None:
    photo = tmp_path / "photo.png"
    write_image(photo, RNG.integers(0, 256, (40, 56, 3), np.uint8))
    folder = built("all three").folder
    options = ["--precision", precision, "--backend", "ort", "--builds", folder.parent]
    result = run("upscale", photo, tmp_path / "large.png", "--model", folder.name, *options)
    assert result.exit_code == 0, result.output
    large = read_image(tmp_path / "large.png")
    assert large.shape == (80, 112, 3)
    again = resize_area(large, 40, 56).astype(int) - read_image(photo)
    assert np.abs(again).mean() < 12


def test_vendors_whose_tools_make_the_usual_form_are_told(built, tmp_path: Path) -> None:
    refusing = [name for name, vendor in vendors().items() if not vendor.takes_form]
    assert {"vacc", "rknn", "ncnn", "web"} <= {*refusing}
    for vendor in refusing:
        with pytest.raises(UsageError, match=f"--input uint8; the tools of {vendor} make of"):
            make_handoff(
                HandoffRequest(built("bytes").folder, (vendor,), out=tmp_path / "b.zip"), Silent()
            )


def test_a_build_of_another_form_is_not_added_to(built) -> None:
    outcome = built("bytes")
    other = BuildRequest(
        "unshuffle",
        targets=("qnn",),
        tile=Tile(16, 24),
        weights=outcome.folder.parent / "unshuffle.safetensors",
        calibration=CalibrationRequest(count=1),
        out=outcome.folder.parent,
    )
    message = r"files take pictures as bytes 0..255, NCHW, RGB, asked for is float in \[0,1\]"
    with pytest.raises(UsageError, match=message):
        build_model(other, Silent())


@pytest.mark.parametrize("claimed", [Form(), Form("uint8", "nhwc"), Form("uint8", "nchw", "bgr")])
def test_a_manifest_that_states_another_form_fails(built, tmp_path: Path, claimed: Form) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in built("bytes").folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    edit_manifest(folder, lambda document: document["network"].update(form=asdict(claimed)))
    result = run("verify", folder, "--backend", "none", "--json")
    assert result.exit_code == 1
    checks = json.loads(result.stdout)["builds"][0]["checks"]
    failed = [check for check in checks if check["status"] == "failed"]
    assert {check["check"] for check in failed} == {"structure"}
    assert len(failed) == len(built("bytes").manifest.models())


def test_a_file_whose_metadata_lie_is_named(built, tmp_path: Path) -> None:
    outcome = built("all three")
    model = onnx.load(outcome.folder / outcome.manifest.models()[0].path)
    assert form_of(model) == CASES["all three"][1]
    lied = replace(form_of(model), values="float")
    onnx.helper.set_model_props(model, lied.metadata)
    path = tmp_path / "lie.onnx"
    path.write_bytes(model.SerializeToString())
    assert "float in [0,1], NHWC, BGR" in run("inspect", path).stdout
