"""Choose the tile that enlarges a picture with the least arithmetic under a memory budget.

Tiles overlap by two margins where they meet, so n of them cover a side of L pixels when each is

    ceil((L + 2 * margin * (n - 1)) / n)

long. Of all pairs (n down, m across) whose tile fits the budget, the one of fewest pixels in all
tiles together is taken: a picture that fits whole is one tile, and nothing is drawn twice.
"""

import math
from collections.abc import Callable

from calib.records import FEWEST_PX, MOST_PX
from calib.tile import Size
from deploy.runtime.tiling import MARGIN_PX


def choose_tile(
    height: int,
    width: int,
    most_pixels: Callable[[int], float],
    factor: int = 1,
    margin_px: int = MARGIN_PX,
) -> Size:
    """Return the tile for a picture.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        most_pixels: gives, for the height of a tile, how many pixels the memory allows it.
        factor: what its sides must be multiples of.
        margin_px: of a tile, where it meets another.

    >>> most = lambda height: 100_000
    >>> str(choose_tile(678, 1020, most)), str(choose_tile(100, 90, most))
    ('258x372', '100x90')
    >>> str(choose_tile(1, 2000, most)), str(choose_tile(41, 61, most, factor=4))
    ('16x2000', '44x64')
    """
    best: tuple[int, int, Size] | None = None
    for down in range(1, _most_tiles(height, margin_px)):
        tile_height = _side(height, down, factor, margin_px)
        if tile_height > MOST_PX:
            continue
        across = next(
            (
                count
                for count in range(1, _most_tiles(width, margin_px))
                if _side(width, count, factor, margin_px)
                <= min(MOST_PX, most_pixels(tile_height) / tile_height)
            ),
            None,
        )
        if across is not None:
            size = Size(tile_height, _side(width, across, factor, margin_px))
            found = (down * across * math.prod(size.sides), down * across, size)
            best = found if best is None else min(best, found, key=lambda item: item[:2])
    return _smallest(factor, margin_px) if best is None else best[2]


def _side(length: int, count: int, factor: int, margin_px: int) -> int:
    """Return how long each of ``count`` tiles is that cover a side."""
    needed = max(FEWEST_PX, math.ceil((length + 2 * margin_px * (count - 1)) / count))
    return math.ceil(needed / factor) * factor


def _most_tiles(length: int, margin_px: int) -> int:
    """Return a bound on tiles along a side: beyond it they are hardly more than their margins."""
    return 2 + length // margin_px


def _smallest(factor: int, margin_px: int) -> Size:
    """Return the tile that is taken where none fits the budget: four margins a side."""
    side = math.ceil(4 * margin_px / factor) * factor
    return Size(side, side)
