"""Mode ``both``: whole photographs and pieces of them by turns."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from calib.choose_patches import MOST_CROPS, folder_patches
from calib.images import write_image
from calib.images_record import is_tile


def photos(folder: Path, count: int, sides: tuple[int, int] = (140, 150)) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        picture = np.random.default_rng(number).integers(0, 256, (*sides, 3), np.uint8)
        write_image(folder / f"{number:02}-{sides[0]}.png", picture)
    return folder


def test_both_takes_each_second_photograph_whole_and_a_piece_of_the_others(tmp_path: Path) -> None:
    folder = photos(tmp_path, 6)
    chosen = folder_patches(folder, mode="both", count=12, seed=0).patches
    assert [is_tile(patch.name) for patch in chosen] == [False, True] * 3 + [True, False] * 3
    assert len({patch.photo for patch in chosen[:6]}) == 6
    assert [p.photo for p in chosen[:6]] == [p.photo for p in chosen[6:]]


@pytest.mark.parametrize("count", [50, 1000])
def test_no_photograph_gives_more_than_its_share_in_both(tmp_path: Path, count: int) -> None:
    folder = photos(tmp_path, 3)
    chosen = folder_patches(folder, mode="both", count=count, seed=0)
    each = Counter(patch.photo.name for patch in chosen.patches)
    assert set(each.values()) == {1 + MOST_CROPS}
    assert len({patch.sha256 for patch in chosen.patches}) == len(chosen) < count


def test_both_takes_pictures_of_the_tile_s_size_once(tmp_path: Path) -> None:
    folder = photos(photos(tmp_path, 3, (128, 128)), 1)
    chosen = folder_patches(folder, mode="both", count=8, seed=0).patches
    pieces = [patch.name for patch in chosen if is_tile(patch.name)]
    assert len(pieces) == 1
    assert len(chosen) == 5
