"""The files that run in a bundle without esrdeploy do what esrdeploy itself does."""

import ast
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.choose_patches import folder_patches
from calib.colours import RGB
from calib.degradation.parameters import Degradation
from calib.form import Form
from calib.images import decode_image, read_image, resize_area, to_input, to_picture
from calib.tile import Tile
from deploy.handoff import standalone
from deploy.handoff.calibration_set import CalibrationSet
from deploy.handoff.standalone import processing
from deploy.handoff.vendor import copy_standalone

FOLDER = Path(standalone.__file__).parent
ROOT = FOLDER.parents[2]
RNG = np.random.default_rng(3)


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("processing.py", {"numpy", "cv2"}),
        ("prepare_calibration.py", {"numpy", "processing", "calib"}),
        ("tiles.py", {"numpy", "cv2", "processing"}),
        ("array_files.py", {"numpy"}),
        ("trtexec_outputs.py", {"numpy", "array_files"}),
        ("ncnn_run.py", {"numpy", "ncnn", "array_files"}),
        ("openvino_run.py", {"numpy", "openvino", "array_files"}),
        ("qnn_run.py", {"onnxruntime", "onnxruntime_qnn", "array_files"}),
        ("rknn_run.py", {"numpy", "rknn", "array_files"}),
        ("web_serve.py", set()),
    ],
)
def test_a_script_needs_what_it_says_and_no_more(name: str, packages: set[str]) -> None:
    assert imported(FOLDER / name) == packages


def test_no_script_is_left_out_above() -> None:
    assert len(list(FOLDER.glob("*.py"))) == 10 + 1  # and __init__.py


def image_files() -> dict[str, np.ndarray]:
    return {
        "color.png": RNG.integers(0, 256, (37, 53, 3), np.uint8),
        "gray.png": RNG.integers(0, 256, (37, 53), np.uint8),
        "alpha.png": RNG.integers(0, 256, (37, 53, 4), np.uint8),
        "deep.png": RNG.integers(0, 65536, (37, 53, 3), np.uint16),
        "deep-gray.tiff": RNG.integers(0, 65536, (37, 53), np.uint16),
        "photo.jpg": RNG.integers(0, 256, (40, 56, 3), np.uint8),
        "photo.webp": RNG.integers(0, 256, (40, 56, 3), np.uint8),
    }


@pytest.mark.parametrize("name", list(image_files()))
def test_every_kind_of_file_is_read_alike(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / name), image_files()[name])
    expected = read_image(tmp_path / name)
    found = processing.read_picture(tmp_path / name)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        processing.resize_area(found, 20, 30), resize_area(expected, 20, 30)
    )


def test_a_turned_photograph_is_read_upright(tmp_path: Path) -> None:
    _, encoded = cv2.imencode(".jpg", RNG.integers(0, 256, (16, 32, 3), np.uint8))
    jpeg = encoded.tobytes()
    # An EXIF segment that says: turn by 90 degrees (orientation 6).
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    segment = b"Exif\0\0" + tiff
    exif = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + exif + jpeg[2:])
    expected = decode_image(path.read_bytes(), "turned.jpg")
    assert expected.shape == (32, 16, 3)
    np.testing.assert_array_equal(processing.read_picture(path), expected)


def test_numbers_go_in_and_out_alike(tmp_path: Path) -> None:
    picture = RNG.integers(0, 256, (128, 128, 3), np.uint8)
    network_input = processing.to_input(picture)
    assert network_input.dtype == np.float32
    np.testing.assert_array_equal(network_input, to_input(picture, RGB))
    halves = (np.arange(256, dtype=np.float32) + np.float32(0.5)) / np.float32(255)
    output = np.concatenate([halves, RNG.normal(0.5, 1.0, 512 - 256).astype(np.float32)])
    planes = np.broadcast_to(output, (1, 3, 4, 512))
    np.testing.assert_array_equal(processing.to_picture(planes), to_picture(planes))
    processing.write_picture(tmp_path / "x.png", picture)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), picture)


def test_gray_goes_in_and_out_alike() -> None:
    picture = RNG.integers(0, 256, (32, 32, 3), np.uint8)
    network_input = processing.to_input(processing.in_channels(picture, 1))
    np.testing.assert_array_equal(network_input, to_input(picture, 1))
    np.testing.assert_array_equal(processing.to_picture(network_input), to_picture(network_input))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_no_number_is_not_painted_over(
    value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        processing.to_picture(np.full((1, 3, 2, 2), value, np.float32))
    assert "NaN or infinity" in capsys.readouterr().err


def write_tile(bundle: Path, tile: Tile, form: Form | None = None) -> None:
    network = {"tile": asdict(tile), "form": asdict(form or Form())}
    (bundle / "manifest.json").write_text(json.dumps({"network": network}))


@pytest.mark.parametrize(
    ("tile", "form"),
    [
        (Tile(), Form()),
        (Tile(24, 40), Form("float", "nhwc", "bgr")),
        (Tile(32, 32, 2), Form("uint8", "nhwc")),
        (Tile(32, 32, channels=1), Form("uint8", "nhwc")),
    ],
)
def test_processing_runs_from_the_command_line(tmp_path: Path, tile: Tile, form: Form) -> None:
    write_tile(tmp_path, tile, form)
    copy_standalone("processing.py", tmp_path / "processing.py")
    cv2.imwrite(str(tmp_path / "photo.png"), RNG.integers(0, 256, (200, 300, 3), np.uint8))

    def run(*arguments: str) -> int:
        command = [sys.executable, "processing.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert run("input", "photo.png", "input.npy") == 0
    picture = resize_area(read_image(tmp_path / "photo.png"), *tile.sides)
    expected = to_input(picture, tile.channels)
    found = np.load(tmp_path / "input.npy")
    assert found.dtype == (np.uint8 if form.values == "uint8" else np.float32)
    assert found.shape == form.shape(tile.shape)
    for picture in form.planes_taken(found):
        np.testing.assert_array_equal(picture, expected[0])
    np.save(tmp_path / "output.npy", form.given(form.planes_taken(found)))
    assert run("output", "output.npy", "back.png") == 0
    np.testing.assert_array_equal(read_image(tmp_path / "back.png"), to_picture(expected))
    assert (tmp_path / "back-1.png").exists() == (tile.batch > 1)
    assert run("input", *["photo.png"] * (tile.batch + 1), "input.npy") != 0
    assert run("sideways") != 0


@pytest.mark.parametrize(
    ("mode", "tile", "degradation"),
    [
        ("whole", Tile(), None),
        ("crop", Tile(), None),
        ("crop", Tile(100, 160, 2), None),
        ("whole", Tile(64, 64), Degradation(2)),
        ("crop", Tile(32, 40), Degradation(4)),
    ],
)
def test_calibration_pictures_are_made_again_from_the_users_folder(
    tmp_path: Path, mode: str, tile: Tile, degradation: Degradation | None
) -> None:
    photos = tmp_path / "photos"
    (photos / "holiday").mkdir(parents=True)
    cv2.imwrite(str(photos / "a.png"), RNG.integers(0, 256, (200, 300, 3), np.uint8))
    cv2.imwrite(str(photos / "holiday" / "b@1,2.png"), RNG.integers(0, 256, (90, 150), np.uint8))
    count = 2 if mode == "whole" else 4
    chosen = folder_patches(
        photos, mode=mode, count=count, seed=0, size=tile.size, degradation=degradation
    )
    bundle = tmp_path / "bundle" / "calibration"
    bundle.parent.mkdir()
    CalibrationSet(chosen.record(), ()).write(bundle.parent)
    copy_standalone("processing.py", bundle.parent / "processing.py")
    copy_standalone("prepare_calibration.py", bundle / "prepare_calibration.py")
    write_tile(bundle.parent, tile)
    entries = json.loads((bundle / "patches.json").read_text())["patches"]

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, bundle / "prepare_calibration.py", *arguments]
        return subprocess.run(
            command,
            cwd=bundle,
            env={**os.environ, "PYTHONPATH": str(ROOT)},  # the wheel that lies in the bundle
            capture_output=True,
            text=True,
            check=False,
        )

    assert "make them first" in run("--form", "raw", "--out", "raw").stderr
    done = run("--photos", photos)
    assert done.returncode == 0, done.stderr
    for entry, patch in zip(entries, chosen.patches, strict=True):
        np.testing.assert_array_equal(read_image(bundle / entry["file"]), patch.load())
    assert run("--form", "raw", "--out", "raw").returncode == 0
    first = np.concatenate([to_input(p.load(), RGB) for p in chosen.patches[: tile.batch]])
    assert (bundle / "raw" / "0000.raw").read_bytes() == first.tobytes()
    assert run("--form", "npz", "--out", "npz").returncode == 0
    with np.load(bundle / "npz" / "0000.npz") as archive:
        np.testing.assert_array_equal(
            archive["input_0"], chosen.patches[0].load().transpose(2, 0, 1)
        )
    cv2.imwrite(str(photos / "a.png"), RNG.integers(0, 256, (200, 300, 3), np.uint8))
    spoiled = run("--photos", photos)
    assert spoiled.returncode != 0
    assert "another photograph" in spoiled.stderr


def test_degraded_pictures_need_the_wheel_and_say_so(tmp_path: Path) -> None:
    copy_standalone("processing.py", tmp_path / "processing.py")
    (tmp_path / "calibration").mkdir()
    copy_standalone("prepare_calibration.py", tmp_path / "calibration" / "prepare_calibration.py")
    (tmp_path / "calib.py").write_text("")  # stands before the package: nothing can be imported
    listed = {"degradation": {"scale": 4}, "size": [32, 32]}
    (tmp_path / "calibration" / "patches.json").write_text(json.dumps(listed))
    command = [sys.executable, "calibration/prepare_calibration.py", "--photos", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install ../esrdeploy-*.whl" in done.stderr


def test_what_trtexec_exports_becomes_arrays(tmp_path: Path) -> None:
    for script in ("trtexec_outputs.py", "array_files.py"):
        copy_standalone(script, tmp_path / script)
    values = RNG.random((1, 3, 2, 4)).astype(np.float32)
    tensor = {"name": "output", "dimensions": "1x3x2x4", "values": values.reshape(-1).tolist()}
    (tmp_path / "00-cat.json").write_text(json.dumps([{"name": "input", "values": []}, tensor]))
    command = [sys.executable, "trtexec_outputs.py", "00-cat.json", "--out", "returned"]
    subprocess.run(command, cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "returned" / "00-cat.npy"), values)
