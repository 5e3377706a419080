"""Scores of a real small build: through the command line, on a small folder in DIV2K's layout."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from skimage import data

from calib.choose_patches import folder_patches
from calib.colours import RGB
from calib.dataset import Mode
from calib.images import read_image, resize_area, to_input, to_picture, write_image
from calib.table import CalibrationTable
from deploy.metrics.psnr_ssim import psnr_db
from deploy.runtime.runner import model_runner
from tests.deploy.builds import copied, run

POOLING = """
<ir_version: 8, opset_import: ["": 17]>
pooling (float[1,3,16,16] image) => (float[1,3,1,1] features)
{ features = GlobalAveragePool(image) }
"""


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs as LR and HR pairs, and one LR image without a partner."""
    folder = tmp_path_factory.mktemp("photographs")
    lr_folder = folder / "DIV2K_valid_LR_bicubic" / "X4"
    hr_folder = folder / "DIV2K_valid_HR"
    lr_folder.mkdir(parents=True)
    hr_folder.mkdir()
    coffee = resize_area(data.coffee(), 544, 600)
    photographs = {"0801": coffee, "0802": np.ascontiguousarray(coffee[::-1, :560])}
    for name, hr in photographs.items():
        write_image(hr_folder / f"{name}.png", hr)
        lr = resize_area(hr, hr.shape[0] // 4, hr.shape[1] // 4)
        write_image(lr_folder / f"{name}x4.png", lr)
    write_image(lr_folder / "0803x4.png", np.ascontiguousarray(coffee[:128, :128]))
    return folder


@pytest.fixture(scope="session")
def scored(built: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The folder with the saved table, and the table."""
    out = tmp_path_factory.mktemp("scores")
    result = run("eval", "--data", pairs, "--builds", built.parent, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_every_file_is_scored_by_the_protocol(
    built: Path, pairs: Path, scored: tuple[Path, dict]
) -> None:
    rows = scored[1]["rows"]
    assert [(row["precision"], row["target"]) for row in rows] == [
        ("fp32", None), ("fp16", None), ("int8", "ort"),
    ]  # fmt: skip
    for row in rows:
        network = model_runner(built / row["path"], optimized=row["precision"] == "fp32")
        expected = []
        for name in ("0801", "0802"):
            lr = read_image(pairs / "DIV2K_valid_LR_bicubic" / "X4" / f"{name}x4.png")
            hr = read_image(pairs / "DIV2K_valid_HR" / f"{name}.png")
            drawn = to_picture(network(to_input(resize_area(lr, 128, 128), RGB)))
            expected.append(psnr_db(resize_area(hr, 512, 512), drawn))
        assert row["psnr"]["ours"] == pytest.approx(np.mean(expected))
        assert row["shape"] == "3x128x128"
    drop = rows[2]["psnr"]["ours"] - rows[0]["psnr"]["ours"]
    assert rows[2]["psnr_less_float"]["ours"] == pytest.approx(drop)
    assert rows[0]["flops_g"]["ours"] == pytest.approx(rows[2]["flops_g"]["ours"])
    assert rows[0]["params_m"]["ours"] == pytest.approx(0.014083)


def test_the_table_is_saved_in_three_forms(scored: tuple[Path, dict]) -> None:
    out, table = scored
    assert json.loads((out / "eval-fixed.json").read_text()) == table
    rows = list(csv.DictReader(io.StringIO((out / "eval-fixed.csv").read_text())))
    assert float(rows[0]["psnr_ours"]) == pytest.approx(table["rows"][0]["psnr"]["ours"], abs=1e-6)
    assert "| tiny | fp32 | ours |" in (out / "eval-fixed.md").read_text()
    assert table["images"]["names"] == ["0801", "0802"]
    assert len(table["images"]["digest"]) == 64


def test_the_same_scores_give_the_same_bytes(
    built: Path, pairs: Path, scored: tuple[Path, dict], tmp_path: Path
) -> None:
    result = run("eval", "--data", pairs, "--builds", built.parent, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "int8 ort" in result.stdout
    for path in scored[0].iterdir():
        content = (tmp_path / path.name).read_bytes()
        assert content == path.read_bytes()
        assert str(pairs).encode() not in content


def test_tiles_and_whole_pictures_score_alike(built: Path, pairs: Path, tmp_path: Path) -> None:
    common = [
        "eval", "--data", pairs, "--builds", built.parent, "--model", "tiny", "--count", 1,
        "--precision", "fp32", "--shape", "source", "--out", tmp_path, "--json",
    ]  # fmt: skip
    tiled, whole = (
        json.loads(run(*common, *extra).stdout)["rows"][0] for extra in ((), ("--whole",))
    )
    assert tiled["psnr"]["ours"] == pytest.approx(whole["psnr"]["ours"], abs=1e-3)
    assert tiled["ssim"]["ours"] == pytest.approx(whole["ssim"]["ours"], abs=1e-5)
    # 136 x 150 pixels of input: four tiles of 128, or the pixels themselves.
    ratio = tiled["flops_g"]["ours"] / whole["flops_g"]["ours"]
    assert ratio == pytest.approx(4 * 128**2 / (136 * 150))
    assert tiled["scores"]["count"] == 1
    assert tiled["psnr"]["published"] is None


def lr_of(pairs: Path, name: str) -> Path:
    return pairs / "DIV2K_valid_LR_bicubic" / "X4" / f"{name}x4.png"


def hr_of(pairs: Path, name: str) -> Path:
    return pairs / "DIV2K_valid_HR" / f"{name}.png"


def mean_colour(picture: np.ndarray) -> np.ndarray:
    """Return what POOLING finds in a picture, float64 ``[3]``."""
    return to_input(resize_area(picture, 16, 16), RGB).astype(np.float64).mean(axis=(0, 2, 3))


def heusel(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance as the paper writes it, by a root of the product of covariances."""
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    shift = first.mean(axis=0) - second.mean(axis=0)
    # The eigenvalues of a product of two covariances are real and at least 0.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0))
    return float(shift @ shift + sum(map(np.trace, covariances)) - 2 * roots.sum())


def test_fid_over_a_network_of_the_users_own(built: Path, pairs: Path, tmp_path: Path) -> None:
    path = tmp_path / "features.onnx"
    path.write_bytes(onnx.parser.parse_model(POOLING).SerializeToString())
    result = run(
        "eval", "--data", pairs, "--builds", built.parent, "--precision", "fp32",
        "--precision", "fp16", "--fid", path, "--out", tmp_path, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    table = json.loads(result.stdout)
    true, *drawn = ([], [], [])
    for name in ("0801", "0802"):
        true.append(mean_colour(resize_area(read_image(hr_of(pairs, name)), 512, 512)))
        lr = to_input(resize_area(read_image(lr_of(pairs, name)), 128, 128), RGB)
        for colours, precision in zip(drawn, ("fp32", "fp16"), strict=True):
            network = model_runner(built / f"tiny-{precision}.onnx", optimized=True)
            colours.append(mean_colour(to_picture(network(lr))))
    for row, colours in zip(table["rows"], drawn, strict=True):
        assert row["fid"]["ours"] == pytest.approx(heusel(np.array(true), np.array(colours)))
    assert any("features.onnx" in note for note in table["notes"])


def test_fid_of_a_single_pair_is_refused(built: Path, pairs: Path, tmp_path: Path) -> None:
    path = tmp_path / "features.onnx"
    onnx.save(onnx.parser.parse_model(POOLING), path)
    common = ["eval", "--data", pairs, "--builds", built.parent, "--out", tmp_path / "out"]
    result = run(*common, "--fid", path, "--count", 1)
    assert result.exit_code == 2, result.output
    assert "found 1 pair for FID" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--model", "x4plus"], "esrdeploy build --model x4plus"),
        (["--target", "tensorrt"], "no int8 model for tensorrt"),
        (["--fid", "absent.onnx"], "absent.onnx"),
        (["--whole"], "--whole without --shape source"),
    ],
    ids=["not built", "another target", "no such network", "whole but fixed"],
)
def test_what_cannot_be_scored_is_one_clear_line(
    built: Path, pairs: Path, tmp_path: Path, options: list[str], named: str
) -> None:
    out = tmp_path / "scores"
    result = run("eval", "--data", pairs, "--builds", built.parent, "--out", out, *options)
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("esrdeploy: ")]
    assert named in line
    assert not out.exists()


def test_a_folder_without_pairs_or_builds_is_named(
    built: Path, pairs: Path, tmp_path: Path
) -> None:
    result = run("eval", "--data", tmp_path, "--builds", built.parent)
    assert (result.exit_code, "no evaluation pair" in result.stderr) == (2, True)
    result = run("eval", "--data", pairs, "--builds", tmp_path)
    assert (result.exit_code, "found no build" in result.stderr) == (2, True)


def test_a_changed_file_is_not_scored(built: Path, pairs: Path, tmp_path: Path) -> None:
    copied(built, tmp_path / "tiny")
    shutil.copy(built / "tiny-fp16.onnx", tmp_path / "tiny" / "tiny-fp32.onnx")
    result = run("eval", "--data", pairs, "--builds", tmp_path)
    assert result.exit_code == 1
    assert "tiny-fp32.onnx is not the file" in result.stderr


@pytest.mark.parametrize("mode", ["whole", "crop"])
def test_a_model_calibrated_on_a_scored_picture_is_refused(
    built: Path, pairs: Path, tmp_path: Path, mode: Mode
) -> None:
    folder = copied(built, tmp_path / "tiny")
    # Named directly, the LR folder is no DIV2K layout and hides nothing from the calibration.
    seen = folder_patches(pairs / "DIV2K_valid_LR_bicubic" / "X4", mode=mode, count=3, seed=0)
    table = CalibrationTable.load(folder / "calibration.json")
    replace(table, images=seen.record()).save(folder / "calibration.json")
    result = run("eval", "--data", pairs, "--builds", tmp_path)
    assert result.exit_code == 2, result.output
    assert "was calibrated on 0801x4.png" in result.stderr
    floats = run("eval", "--data", pairs, "--builds", tmp_path, "--precision", "fp32", "--count", 1)
    assert floats.exit_code == 0, floats.output
