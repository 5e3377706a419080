"""Builds calibrated on one's own pictures: judged on those held back, and saying so."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from calib.dataset import PatchSet
from calib.held_back import FEW
from calib.images import read_image, write_image
from calib.images_record import is_tile
from calib.sample import sample_patches
from calib.tile import Size
from deploy.artifacts.manifest import read_manifest
from deploy.artifacts.parity_record import VerifiedOn
from deploy.artifacts.picture_warnings import warnings_of
from deploy.artifacts.weights_record import OnnxFileRecord
from deploy.build.calibrate import CalibrationRequest
from deploy.cli.next_commands import next_commands
from deploy.handoff.golden import golden_pictures
from deploy.handoff.make import open_build
from deploy.verify.judges import folder_judges
from tests.deploy.builds import copied, run


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of one's own."""
    folder = tmp_path_factory.mktemp("mine")
    for number, patch in enumerate(sample_patches("calibration", 5).patches):
        write_image(folder / f"{number}.png", np.ascontiguousarray(patch.load()[::-1]))
    return folder


@pytest.fixture(scope="module")
def own(mine: Path, tiny_x2_weights: Path, tmp_path_factory: pytest.TempPathFactory):
    """A build calibrated on them, and what it printed."""
    out = tmp_path_factory.mktemp("dist")
    result = run(
        "build", "--model", "small", "--weights", tiny_x2_weights, "--calib", mine,
        "--rounding", "nearest", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out / "small", result.stdout


def test_one_in_five_is_held_back_and_every_figure_says_so(own) -> None:
    folder, shown = own
    manifest = read_manifest(folder / "manifest.json")
    assert manifest.verified_on is not None
    assert manifest.verified_on.choice == "held-back"
    (judge,) = manifest.verified_on.images.patches
    table = json.loads((folder / "calibration.json").read_text())
    assert judge.sha256 not in {patch["sha256"] for patch in table["images"]["patches"]}
    assert len(table["images"]["patches"]) == 4
    parity = json.loads((folder / "parity.json").read_text())
    judged = {
        image["name"]
        for name, record in parity["artifacts"].items()
        if "fp32" not in name
        for image in record["per_image"]
    }
    assert judged == {judge.name}
    words = " ".join(shown.split())
    assert f"1 picture of your own, resized to 128x128 ({judge.name}), held back" in words
    assert (
        "warning: calibrated on 4 pictures where --calib-count takes 50 (1 is held back)" in words
    )
    assert judge.name in (folder / "report.html").read_text()


def test_verify_finds_them_again_or_says_on_what_it_judged(
    own, mine: Path, tiny_x2_weights: Path
) -> None:
    folder, _ = own
    common = ["verify", folder, "--weights", tiny_x2_weights, "--backend", "none", "--json"]
    (there,) = json.loads(run(*common, "--images", mine).stdout)["builds"]
    assert there["passed"]
    calibrated, judged = there["warnings"]
    assert "calibrated on 4 pictures" in calibrated
    assert "judged on 1 photograph of your own" in judged
    assert all(f"warning: {line}" in own[1] for line in there["warnings"])  # as the build said
    assert there["pictures"]["choice"] == "held-back"
    assert there["not_asked"] == []
    assert "recorded parity" in {check["check"] for check in there["checks"]}
    (away,) = json.loads(run(*common).stdout)["builds"]
    assert away["passed"]
    assert away["pictures"]["choice"] == "sample"
    (line,) = away["not_asked"]
    assert "held back from calibration" in line
    assert "--images" in line


def test_the_report_shows_them_or_says_that_it_shows_others(
    own, mine: Path, tmp_path: Path
) -> None:
    folder = copied(own[0], tmp_path / "small")
    assert run("report", folder, "--images", mine).exit_code == 0
    assert "Not the pictures of the figures above" not in (folder / "report.html").read_text()
    away = run("report", folder)
    assert "esrdeploy report --images DIR" in away.stderr
    page = (folder / "report.html").read_text()
    assert "What it draws, of the embedded sample</h2>" in page
    assert "Not the pictures of the figures above:</b> the pictures are 6 pictures of the" in page


def test_the_build_ends_with_the_commands_that_come_next(own, mine: Path, tiny_x2_weights) -> None:
    folder, shown = own
    lines = [line.removeprefix("next: ") for line in shown.splitlines() if line[:6] == "next: "]
    verify, compare, bench, web = lines  # the report is made
    assert compare == f"esrdeploy compare {mine} --model {folder}"
    assert verify == f"esrdeploy verify {folder} --weights {tiny_x2_weights} --images {mine}"
    assert bench == f"esrdeploy bench --model {folder}"
    remark = "puts some of those pictures into the bundle"
    assert web == f"esrdeploy handoff --vendor web {folder} --images {mine}  # {remark}"
    manifest = read_manifest(folder / "manifest.json")
    targets = dict.fromkeys(("qnn", "openvino"), manifest.options.targets["ort"])
    several = replace(manifest, options=replace(manifest.options, targets=targets))
    handoff = next_commands(folder, several, None, None)[-1]
    packed = f"esrdeploy handoff --vendor openvino --vendor qnn {folder}"
    assert handoff == f"{packed}  # rknn and web take int8 files of it too"
    *others, handoff = next_commands(folder, several, None, mine, reported=False)
    assert f"esrdeploy report {folder} --images {mine}" in others
    assert handoff.startswith(f"esrdeploy handoff --vendor openvino --vendor qnn {folder} --images")
    made = replace(
        manifest, weights=replace(manifest.weights, onnx=OnnxFileRecord("a", "b", "float32", 17))
    )
    assert " --onnx mine.onnx" in next_commands(folder, made, Path("mine.onnx"), None)[0]


def test_the_build_says_which_known_network_it_is_like(own) -> None:
    folder, shown = own
    manifest = read_manifest(folder / "manifest.json")
    assert manifest.network.same_architecture_as == ()
    assert manifest.weights.released_as is None
    assert "of no known architecture and sizes" in (folder / "report.html").read_text()
    assert "small-fp32.onnx and torch were compared on half picture, half noise" in shown


def test_golden_vectors_are_taken_on_them_where_their_folder_is_named(own, mine: Path) -> None:
    build = open_build(own[0])
    names = [patch.name for patch in golden_pictures(build, mine, 8)]
    assert build.manifest.verified_on is not None
    assert names[0] == build.manifest.verified_on.images.patches[0].name
    assert len(set(names)) == 8
    assert names[0] not in {patch.name for patch in golden_pictures(build, None, 8)}


def test_pictures_to_verify_on_may_be_named(
    own, mine: Path, picture: Path, tiny_x2_weights: Path, tmp_path: Path
) -> None:
    common = ["build", "--model", "small", "--weights", tiny_x2_weights, "--out", tmp_path]
    common += ["--precision", "fp16", "--calib", mine, "--no-report"]
    result = run(*common, "--verify-images", picture)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(tmp_path / "small" / "manifest.json")
    assert manifest.verified_on is not None
    assert (manifest.verified_on.choice, manifest.verified_on.images.count) == ("folder", 1)
    assert manifest.calibration is not None
    assert manifest.calibration.images.count == 5
    refused = run(*common, "--verify-images", mine, "--name", "again")
    assert refused.exit_code == 2
    assert "calibrated on all 5 pictures" in refused.stderr


def test_a_folder_of_pictures_beside_a_finished_table_is_refused(
    own, mine: Path, tiny_x2_weights: Path, tmp_path: Path
) -> None:
    result = run(
        "build", "--model", "small", "--weights", tiny_x2_weights, "--out", tmp_path,
        "--calib", mine, "--calib-table", own[0] / "calibration.json",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "--calib beside --calib-table" in result.stderr


@pytest.mark.parametrize(
    ("count", "asked", "own", "warned"),
    [
        (1, 1, True, True),
        (1, 1, False, True),
        (4, 50, True, True),
        (20, 50, True, True),
        (8, 50, True, True),
        (7, 50, True, True),
        (32, 50, False, False),
        (2, 2, False, True),
        (7, 7, True, True),
        (8, 8, True, False),
    ],
)
def test_too_few_pictures_are_warned_of(count: int, asked: int, own: bool, warned: bool) -> None:
    patches: PatchSet = replace(sample_patches("calibration", count), requested=asked)
    if own:
        patches = replace(patches, origin="folder")
    judged = VerifiedOn("held-back" if own else "sample", patches.record())
    found = [*warnings_of(patches.record(), judged)]
    lines = [line for line in found if line.startswith("calibrated")]
    assert bool(lines) == warned
    assert all(f"calibrated on {count} picture" in line for line in lines)
    few = [line for line in found if line.startswith("judged")]
    assert bool(few) == (own and count < FEW)
    assert all(f"judged on {count} photograph" in line for line in few)
    assert [*lines, *few] == found
    assert any("dB of parity less" in line for line in lines) == (count <= 4)
    little = "less than 0.1 dB of the mean parity"
    assert any(little in line for line in lines) == (warned and count >= 8)


def test_too_few_to_hold_any_back_says_on_what_is_judged(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes((mine / "0.png").read_bytes())
    chosen = CalibrationRequest(tmp_path).chosen()
    assert chosen.held_back is None
    judged = VerifiedOn("sample", sample_patches("verification").record())
    assert any("embedded sample" in line for line in warnings_of(chosen.images, judged))


def test_what_the_build_warns_of_stands_in_the_report_made_again(
    own, mine: Path, tmp_path: Path
) -> None:
    """Whatever a build prints as a warning of its pictures is on the page, in the same words."""
    folder, shown = own
    warnings = [line[9:] for line in shown.splitlines() if line.startswith("warning: ")]
    assert warnings
    again = copied(folder, tmp_path / "small")
    assert run("report", again, "--images", mine).exit_code == 0
    for page in (folder, again):
        text = (page / "report.html").read_text()
        assert [line for line in warnings if f"<b>Warning:</b> {line}." not in unescape(text)] == []


def test_photographs_larger_than_the_tile_are_judged_at_their_own_size(
    mine: Path, tiny_x2_weights: Path, tmp_path: Path
) -> None:
    """Wherever the verdict stands, it counts tiles of photographs and names them as such."""
    larger = tmp_path / "larger"
    larger.mkdir()
    photograph = np.concatenate([read_image(mine / f"{number}.png") for number in range(3)])
    write_image(larger / "photo.png", photograph)
    result = run(
        "build", "--model", "small", "--weights", tiny_x2_weights, "--precision", "fp16",
        "--calib-count", 2, "--verify-images", larger, "--out", tmp_path / "dist",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    folder = tmp_path / "dist" / "small"
    verified_on = read_manifest(folder / "manifest.json").verified_on
    assert verified_on is not None
    names = [patch.name for patch in verified_on.images.patches]
    expected = [patch.name for patch in folder_judges(larger, Size()).patches.patches]
    assert names == expected
    assert len(names) == 3
    assert [is_tile(name) for name in names] == [True, True, False]
    parts = "3 pictures of 1 photograph: 2 tiles at their own size and 1 resized to 128x128"
    page, shown = (folder / "report.html").read_text(), " ".join(result.stdout.split())
    assert f"the pictures compared ({parts})" in shown
    assert f"Of the pictures compared ({parts})" in " ".join(page.split())
    lowest = re.search(r"lowest: [\d.]+ dB, small-fp16.onnx on (\S+) \((.*?)\)", shown)
    assert lowest is not None
    assert lowest[2] == ("a tile at its own size" if is_tile(lowest[1]) else "resized")
    parity = json.loads((folder / "parity.json").read_text())["artifacts"]["small-fp16.onnx"]
    assert [image["name"] for image in parity["per_image"]] == names
    worst = min(parity["per_image"], key=lambda image: image["psnr_db"])
    assert worst["name"] == lowest[1]
    assert parity["psnr_db_min"] == pytest.approx(worst["psnr_db"], abs=1e-3)
    again = run("verify", folder, "--images", larger, "--backend", "none", "--json")
    (found,) = json.loads(again.stdout)["builds"]
    assert found["pictures_note"] == parts
    assert [item["picture"] for item in found["files"][-1]["pictures"]] == names
