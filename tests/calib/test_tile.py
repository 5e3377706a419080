"""The fixed input of a network: how it is asked for, named, bounded, and cut from pictures."""

from pathlib import Path

import numpy as np
import pytest

from calib.choose_patches import folder_patches
from calib.errors import UsageError
from calib.images import resize_area, write_image
from calib.sample import sample_patches
from calib.tile import MOST_BATCH, USUAL_SIZE, Size, Tile
from calib.views import CropView, WholeView

WIDE = Size(24, 40)


@pytest.mark.parametrize(
    ("text", "batch", "shape", "name"),
    [
        ("128", 1, (1, 3, 128, 128), "net"),
        ("256", 1, (1, 3, 256, 256), "net-256x256"),
        ("180x320", 1, (1, 3, 180, 320), "net-180x320"),
        ("128", 4, (4, 3, 128, 128), "net-128x128-b4"),
        ("16x2048", 2, (2, 3, 16, 2048), "net-16x2048-b2"),
    ],
)
def test_a_tile_is_height_by_width(
    text: str, batch: int, shape: tuple[int, ...], name: str
) -> None:
    tile = Tile.parse(text, batch)
    assert tile.shape == shape
    assert tile.named("net") == name
    assert tile.output_shape(2) == (*shape[:2], shape[2] * 2, shape[3] * 2)


@pytest.mark.parametrize(
    ("text", "batch", "message"),
    [
        ("", 1, "HEIGHTxWIDTH"),
        ("12.5", 1, "HEIGHTxWIDTH"),
        ("256X256", 1, "HEIGHTxWIDTH"),
        ("-4", 1, "HEIGHTxWIDTH"),
        ("1x3x64x64", 1, "HEIGHTxWIDTH"),
        ("0", 1, "expected sides of 16 to 2048"),
        ("15x128", 1, "expected sides of 16 to 2048"),
        ("128x4096", 1, "expected sides of 16 to 2048"),
        ("999999999", 1, "expected sides of 16 to 2048"),
        ("128", 0, "expected 1 to 64"),
        ("128", MOST_BATCH + 1, "expected 1 to 64"),
        ("2048", 2, "pixels together"),
    ],
)
def test_what_no_network_is_built_for_is_refused(text: str, batch: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Tile.parse(text, batch)


@pytest.mark.parametrize("shape", [(300, 200, 3), (20, 300, 3), (300, 30, 3), (8, 8, 3)])
def test_views_give_the_size_asked_for(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(WholeView().of(picture, WIDE), resize_area(picture, 24, 40))
    crop = CropView(5, 3).of(picture, WIDE)
    assert crop.shape == (24, 40, 3)
    inside = picture[5:29, 3:43]
    np.testing.assert_array_equal(crop[: inside.shape[0], : inside.shape[1]], inside)
    if inside.shape[0] < 24:  # continued below by reflection
        np.testing.assert_array_equal(crop[inside.shape[0], 0], picture[-2, 3])


@pytest.mark.parametrize("mode", ["whole", "crop"])
def test_a_folder_gives_patches_of_that_size(tmp_path: Path, mode: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    write_image(tmp_path / "a.png", picture)
    patches = folder_patches(tmp_path, mode=mode, count=None, seed=0, size=WIDE)
    assert {patch.load().shape for patch in patches.patches} == {(24, 40, 3)}
    assert patches.record().size == patches.size == WIDE
    (patch,) = patches.patches
    again = patch.seen_as(USUAL_SIZE)
    assert again.load().shape == (128, 128, 3)
    assert again.name == patch.name
    if mode == "crop":
        assert np.isin(patch.load().reshape(-1, 3), picture.reshape(-1, 3)).all()


@pytest.mark.parametrize("size", [Size(24, 40), Size(256, 256), Size(64, 1024)], ids=str)
@pytest.mark.parametrize("split", ["calibration", "verification"])
def test_the_sample_has_all_its_patches_at_any_size(split: str, size: Size) -> None:
    usual, other = sample_patches(split), sample_patches(split, size=size)
    assert [patch.name for patch in other.patches] == [patch.name for patch in usual.patches]
    # At 256x256 the whole of a photograph of 512x512 is its own half reduced piece.
    assert len({patch.sha256 for patch in other.patches}) >= len(other) - 1
    assert other.patches[0].load().shape == (*size.sides, 3)
