"""What a photograph is judged on: tiles of its own pixels, chosen by them, and the whole."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.choose_patches import folder_patches
from calib.dataset import unseen_patches
from calib.degradation.parameters import Degradation
from calib.images import write_image
from calib.images_record import Mode, described, is_tile
from calib.native_tiles import judged_patches, judged_views
from calib.photos import shuffled_photos
from calib.tile import Size
from calib.views import CropView, WholeView, seen_through

SIDES = (128, 128)


def quiet(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def test_the_middle_and_the_most_detailed_tile_and_the_whole() -> None:
    picture = quiet(640, 512)
    picture[400:500:2, 70:180] = 200  # below the middle, left
    middle, detailed, whole = judged_views(picture, SIDES)
    assert middle == CropView(256, 192)
    assert detailed == CropView(384, 64)
    assert whole == WholeView()


def test_the_middle_is_not_taken_twice() -> None:
    picture = quiet(384, 384)
    picture[128:256:2, 128:256] = 200
    middle, detailed, _ = judged_views(picture, SIDES)
    assert middle == CropView(128, 128)
    assert detailed != middle


@pytest.mark.parametrize("shape", [(128, 128), (100, 128), (17, 90)])
def test_of_a_picture_no_larger_than_the_tile_there_is_the_whole_alone(shape) -> None:
    assert judged_views(quiet(*shape), SIDES) == (WholeView(),)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 140), st.integers(16, 140))
def test_tiles_of_any_picture_are_whole_tiles(
    height: int, width: int, down: int, across: int
) -> None:
    """No tile is cut of a place outside the picture, whatever the sides; each differs."""
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    views = judged_views(picture, (down, across))
    assert len(set(views)) == len(views) <= 3
    for view in views:
        assert view.of(picture, Size(down, across)).shape == (down, across, 3)
        if isinstance(view, CropView):
            assert view.top <= max(0, height - down)
            assert view.left <= max(0, width - across)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs of 300x200 pixels, and one of the tile's size."""
    for number, shape in enumerate([(300, 200), (300, 200), SIDES]):
        picture = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
        write_image(tmp_path / f"{number}.png", picture)
    return tmp_path


@pytest.mark.parametrize("degradation", [None, Degradation(2)], ids=["as it is", "degraded"])
def test_a_set_of_them_begins_with_tiles_and_says_what_it_holds(folder: Path, degradation) -> None:
    photos = shuffled_photos(folder, 0)
    size = Size() if degradation is None else Size(64, 64)
    judged = judged_patches(photos, size=size, degradation=degradation)
    assert [seen_through(patch.name)[0] for patch in judged.patches[:3]] == [p.name for p in photos]
    tiles = [patch for patch in judged.patches if is_tile(patch.name)]
    assert len(tiles) == 4
    assert len(judged) == 7
    assert all(patch.load().shape == (*size.sides, 3) for patch in judged.patches)
    text = f"4 tiles at their own size and 3 resized to {size}"
    assert text in described(judged.record())


@pytest.mark.parametrize("mode", ["whole", "crop", "both"])
@pytest.mark.parametrize("degradation", [None, Degradation(2)], ids=["as it is", "degraded"])
def test_no_part_of_a_photograph_that_was_calibrated_on_is_unseen(
    folder: Path, mode: Mode, degradation
) -> None:
    """Whichever part of it was: its other parts would flatter as well."""
    seen = folder_patches(folder, mode=mode, count=2, seed=1, degradation=degradation)
    judged = judged_patches(shuffled_photos(folder, 0), degradation=degradation)
    left = unseen_patches(judged.patches, seen.record())
    names = {patch.photo.name for patch in seen.patches}
    assert len(names) == 2
    assert {patch.photo.name for patch in left} == {"0.png", "1.png", "2.png"} - names
