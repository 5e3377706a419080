"""Hold pictures back: no photograph is on both sides, and what is held back is found again."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from calib.choose_patches import folder_patches
from calib.dataset import unseen_patches
from calib.degradation.degrade import degrade
from calib.degradation.parameters import Degradation
from calib.div2k import evaluation_pairs
from calib.held_back import ONE_IN, found_patches, split_folder
from calib.images import write_image
from calib.tile import Size


def photos(folder: Path, count: int) -> Path:
    """Write ``count`` different pictures of 140x150 pixels."""
    rng = np.random.default_rng(count)
    folder.mkdir(parents=True)
    for number in range(count):
        write_image(folder / f"{number:03}.png", rng.integers(0, 256, (140, 150, 3), np.uint8))
    return folder


@pytest.mark.parametrize("mode", ["whole", "crop", "both"])
@pytest.mark.parametrize(
    ("there", "asked", "held"), [(5, 50, 1), (12, 6, 4), (25, 50, 5), (60, 50, 8), (11, 30, 3)]
)
def test_no_photograph_is_on_both_sides(
    mode, there: int, asked: int, held: int, tmp_path: Path
) -> None:
    folder = photos(tmp_path / "mine", there)
    split = split_folder(folder, mode=mode, count=asked, seed=3)
    assert split.held_back is not None
    judged = {patch.photo.name for patch in split.held_back.patches}
    assert len(judged) == held
    assert len(split.held_back) == 3 * len(judged)  # two tiles of each, and the whole
    sides = [{p.photo.name for p in part.patches} for part in (split.calibration, split.held_back)]
    assert sides[0].isdisjoint(sides[1])
    if asked + len(judged) <= there:
        assert split.calibration == folder_patches(folder, mode=mode, count=asked, seed=3)
    found = found_patches(folder, split.held_back.record())
    assert [p.sha256 for p in found] == [p.sha256 for p in split.held_back.patches]
    (folder / found[0].photo.name).unlink()
    assert len(found_patches(folder, split.held_back.record())) == len(found) - 3


@pytest.mark.parametrize("mode", ["whole", "crop", "both"])
def test_degraded_photographs_are_held_back_and_found_again(mode, tmp_path: Path) -> None:
    folder, how = photos(tmp_path / "mine", 6), Degradation(2)
    size = Size(32, 48)
    split = split_folder(folder, mode=mode, count=5, seed=3, size=size, degradation=how)
    assert split.held_back is not None
    for part in (split.calibration, split.held_back):
        assert part.degradation == how
        for patch in part.patches:
            shown, plain = patch.load(), patch.seen_as(size)
            assert shown.shape == (32, 48, 3)
            assert plain.sha256 != patch.sha256
            hr = plain.view.of(plain.photo.read(), Size(64, 96))
            np.testing.assert_array_equal(shown, degrade(hr, how, 3))
        found = found_patches(folder, part.record())
        assert {p.sha256 for p in found} == {p.sha256 for p in part.patches}
    seen, unseen = split.calibration.record(), [patch.photo for patch in split.held_back.patches]
    whole = folder_patches(folder, mode="whole", count=None, seed=0).patches
    left = {patch.photo.name for patch in unseen_patches(whole, seen)}
    assert left == {photo.name for photo in unseen}


def test_too_few_are_all_calibrated_on(tmp_path: Path) -> None:
    split = split_folder(photos(tmp_path / "mine", ONE_IN - 1), mode="whole", count=50, seed=0)
    assert split.held_back is None
    assert len(split.calibration) == ONE_IN - 1


def test_a_copy_of_what_is_calibrated_on_is_not_held_back(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", 5)
    split = split_folder(folder, mode="whole", count=4, seed=0)
    assert split.held_back is not None
    (back,) = {patch.photo for patch in split.held_back.patches}
    shutil.copy(folder / split.calibration.patches[0].photo.name, folder / back.name)
    assert split_folder(folder, mode="whole", count=4, seed=0).held_back is None


def test_a_div2k_layout_is_judged_on_its_evaluation_pairs(tmp_path: Path) -> None:
    valid = photos(tmp_path / "DIV2K_valid_LR_bicubic" / "X4", 3)
    for number, path in enumerate(sorted(valid.iterdir())):
        path.rename(valid / f"080{number}x4.png")
    hr = photos(tmp_path / "DIV2K_valid_HR", 2)
    for number, path in enumerate(sorted(hr.iterdir())):
        path.rename(hr / f"080{number}.png")
    (tmp_path / "DIV2K_train_HR").mkdir()
    shutil.copy(hr / "0800.png", tmp_path / "DIV2K_train_HR" / "0001.png")
    write_image(tmp_path / "DIV2K_train_HR" / "0002.png", np.zeros((140, 150, 3), np.uint8))
    degraded = split_folder(tmp_path, mode="whole", count=50, seed=0, degradation=Degradation(4))
    names = {Path(patch.name).name for patch in degraded.calibration.patches}
    assert names == {"0001.png", "0002.png"}
    assert degraded.held_back is not None  # 0800.png is the picture of 0001.png
    assert {Path(patch.photo.name).name for patch in degraded.held_back.patches} == {"0801.png"}
    split = split_folder(tmp_path, mode="whole", count=50, seed=0)
    assert split.held_back is not None
    pairs = {pair.lr.name for pair in evaluation_pairs(tmp_path)}
    assert {Path(patch.photo.name).name for patch in split.held_back.patches} == pairs
    assert len(split.calibration) == 1
