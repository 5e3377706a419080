"""Tiles for a picture: within the budget, and hardly anything is drawn twice."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.records import FEWEST_PX, MOST_PX
from deploy.runtime.tiling import MARGIN_PX, Tiling
from deploy.upscale.tile_choice import choose_tile


def drawn_pixels(height: int, width: int, most_pixels: int, factor: int = 1) -> int:
    tile = choose_tile(height, width, lambda _: most_pixels, factor)
    tiling = Tiling(max(height, tile.height_px), max(width, tile.width_px), tile)
    return len(tiling) * math.prod(tile.sides)


@given(
    height=st.integers(1, 9000),
    width=st.integers(1, 9000),
    most_pixels=st.integers(40_000, 4_000_000),
    factor=st.sampled_from([1, 2, 4]),
)
def test_a_tile_fits_the_budget_and_the_network(
    height: int, width: int, most_pixels: int, factor: int
) -> None:
    tile = choose_tile(height, width, lambda _: most_pixels, factor)
    assert math.prod(tile.sides) <= most_pixels
    for side in tile.sides:
        assert FEWEST_PX <= side <= MOST_PX
        assert side % factor == 0


@pytest.mark.parametrize(
    ("height", "width", "most_pixels", "most"),
    [
        (678, 1020, 96_000, 1.25),
        (678, 1020, 200_000, 1.13),
        (339, 510, 173_000, 1.0),
        (100, 90, 40_000, 1.0),
        (5368, 7728, 96_000, 1.45),
    ],
)
def test_what_is_drawn_twice_is_little(
    height: int, width: int, most_pixels: int, most: float
) -> None:
    assert drawn_pixels(height, width, most_pixels) <= most * height * width


def test_a_budget_below_any_tile_still_gives_one() -> None:
    assert choose_tile(2000, 2000, lambda _: -1).sides == (4 * MARGIN_PX, 4 * MARGIN_PX)
