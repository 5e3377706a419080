"""Hold pictures back: no photograph is on both sides, and what is held back is found again."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from calib.dataset import folder_patches
from calib.div2k import evaluation_pairs
from calib.held_back import MOST, ONE_IN, found_patches, split_folder
from calib.images import write_image


def photos(folder: Path, count: int) -> Path:
    """Write ``count`` different pictures of 140x150 pixels."""
    rng = np.random.default_rng(count)
    folder.mkdir(parents=True)
    for number in range(count):
        write_image(folder / f"{number:03}.png", rng.integers(0, 256, (140, 150, 3), np.uint8))
    return folder


@pytest.mark.parametrize("mode", ["whole", "crop"])
@pytest.mark.parametrize(("there", "asked"), [(5, 50), (12, 6), (25, 50), (60, 50), (11, 30)])
def test_no_photograph_is_on_both_sides(mode, there: int, asked: int, tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", there)
    split = split_folder(folder, mode=mode, count=asked, seed=3)
    assert split.held_back is not None
    assert len(split.held_back) == min(MOST, there // ONE_IN)
    sides = [{p.photo.name for p in part.patches} for part in (split.calibration, split.held_back)]
    assert sides[0].isdisjoint(sides[1])
    if asked + len(split.held_back) <= there:
        assert split.calibration == folder_patches(folder, mode=mode, count=asked, seed=3)
    found = found_patches(folder, split.held_back.record())
    assert [p.sha256 for p in found] == [p.sha256 for p in split.held_back.patches]
    (folder / found[0].photo.name).unlink()
    assert len(found_patches(folder, split.held_back.record())) == len(found) - 1


def test_too_few_are_all_calibrated_on(tmp_path: Path) -> None:
    split = split_folder(photos(tmp_path / "mine", ONE_IN - 1), mode="whole", count=50, seed=0)
    assert split.held_back is None
    assert len(split.calibration) == ONE_IN - 1


def test_a_copy_of_what_is_calibrated_on_is_not_held_back(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", 5)
    split = split_folder(folder, mode="whole", count=4, seed=0)
    assert split.held_back is not None
    (back,) = split.held_back.patches
    shutil.copy(folder / split.calibration.patches[0].photo.name, folder / back.photo.name)
    assert split_folder(folder, mode="whole", count=4, seed=0).held_back is None


def test_a_div2k_layout_is_judged_on_its_evaluation_pairs(tmp_path: Path) -> None:
    valid = photos(tmp_path / "DIV2K_valid_LR_bicubic" / "X4", 3)
    for number, path in enumerate(sorted(valid.iterdir())):
        path.rename(valid / f"080{number}x4.png")
    hr = photos(tmp_path / "DIV2K_valid_HR", 2)
    for number, path in enumerate(sorted(hr.iterdir())):
        path.rename(hr / f"080{number}.png")
    split = split_folder(tmp_path, mode="whole", count=50, seed=0)
    assert split.held_back is not None
    pairs = {pair.lr.name for pair in evaluation_pairs(tmp_path)}
    assert {Path(patch.name).name for patch in split.held_back.patches} == pairs
    assert len(split.calibration) == 1
