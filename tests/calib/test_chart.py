"""The test chart: every patch shows what it says, the same on every machine."""

import numpy as np
import pytest

from calib.chart import CHART_NAME, PATCH_PX, Chart, chart_patches, chart_picture
from calib.digest import sha256_bytes
from calib.images import Picture
from calib.tile import Size

USUAL = Size(128, 128)


def shown(name: str) -> Picture:
    (patch,) = [patch for patch in chart_patches(USUAL) if patch.name == name]
    rows, columns = (slice(start, start + PATCH_PX) for start in (patch.top, patch.left))
    return Chart().read()[rows, columns]


def test_the_chart_is_the_same_on_every_machine() -> None:
    digest = sha256_bytes(Chart().read().tobytes())
    assert digest == "8db6c107bb5311d1022348c76ce9bee31695f27c6a8f285554ebe74111cb3d34"


def test_no_two_patches_are_alike_and_they_fill_the_chart() -> None:
    patches = list(chart_patches(USUAL))
    assert len(patches) * PATCH_PX**2 == 128 * 128
    assert len({(patch.top, patch.left) for patch in patches}) == len(patches)
    assert len({shown(patch.name).tobytes() for patch in patches}) == len(patches)


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("white", (255, 255, 255)),
        ("black", (0, 0, 0)),
        ("red", (255, 0, 0)),
        ("green", (0, 255, 0)),
        ("blue", (0, 0, 255)),
        ("yellow", (255, 255, 0)),
    ],
)
def test_flat_patches_have_one_colour(name: str, colour: tuple[int, int, int]) -> None:
    assert {tuple(pixel) for pixel in shown(name).reshape(-1, 3).tolist()} == {colour}


@pytest.mark.parametrize("name", ["text", "inverted text", "line art"])
def test_ink_is_black_or_white_and_covers_a_part(name: str) -> None:
    patch = shown(name)
    assert set(np.unique(patch)) == {0, 255}
    ink = np.mean(patch == (255 if name == "inverted text" else 0))
    assert 0.05 < ink < 0.4
    assert (shown("text") == 255 - shown("inverted text")).all()


@pytest.mark.parametrize("side_px", [1, 4])
def test_checkerboards_change_at_every_side(side_px: int) -> None:
    patch = shown(f"checkerboard of {side_px} pixel{'s' if side_px > 1 else ''}")[:, :, 0]
    assert (patch[side_px:] == 255 - patch[:-side_px]).all()
    assert (patch[:, side_px:] == 255 - patch[:, :-side_px]).all()
    assert (patch[:side_px, :side_px] == patch[0, 0]).all()


def test_gradients_reach_both_ends_and_noise_every_level() -> None:
    gradient = shown("gradient")[:, :, 0].astype(int)
    assert (gradient.min(), gradient.max()) == (0, 255)
    assert (np.diff(gradient, axis=0) > 0).all()
    assert (np.diff(gradient, axis=1) > 0).all()
    assert [len(np.unique(shown("hues")[:, :, channel])) > 16 for channel in range(3)] == [True] * 3
    noise, coloured = shown("noise"), shown("coloured noise")
    assert (noise[:, :, :1] == noise).all()
    assert len(np.unique(noise)) > 240
    assert not (coloured[:, :, :1] == coloured).all(axis=2).any(axis=1).all()


@pytest.mark.parametrize(
    ("size", "count"),
    [(Size(128, 128), 16), (Size(64, 96), 6), (Size(16, 128), 0), (Size(200, 300), 16)],
)
def test_at_another_size_whole_patches_alone_count(size: Size, count: int) -> None:
    picture = chart_picture(size)
    pixels = picture.load()
    assert picture.name == CHART_NAME
    assert pixels.shape == (*size.sides, 3)
    patches = list(chart_patches(size))
    assert len(patches) == count
    for patch in patches:
        part = pixels[patch.top : patch.top + PATCH_PX, patch.left : patch.left + PATCH_PX]
        assert (part == shown(patch.name)).all()
