"""Enlarge pictures of any size with a network of fixed input size, tile by tile.

A network sees zeros beyond the edge of its input, so the rim of a tile is drawn differently from
the same pixels inside a larger picture: a seam where tiles meet. The rule here:

    discard   the outer `MARGIN_PX` input pixels of a tile, where it meets another, are not used
    blend     what overlaps beyond that is mixed, with weights that rise linearly from the rim
    flush     at the edge of the picture itself a tile ends there too: the same zeros, no seam
    reflect   a picture smaller than a tile is continued by reflection, below and to the right

The receptive field of x4plus is wider than a usual tile, but what a pixel takes from afar decays
fast. PSNR in dB between a tile of 128 pixels and the same pixels inside a picture of 256, at a
distance from the rim (the worse of DIV2K 0802 and 0824):

    input pixels       0     8    16    24    32    40    48
    x4plus-anime-6b   24.1  33.4  41.4  49.8  59.1  70.2  91.5
    x4plus            26.0  32.3  37.8  42.7  45.0  50.7  55.0

24 keeps what is left below 2 of 255 grey levels, before blending, and 6x4 tiles cover a DIV2K
picture of 510x339; 32 would take 8x5. Tiles are spread evenly, so that all share what overlap
there is.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calib.arrays import AnyArray, Float32, Floating
from calib.tile import USUAL_SIZE, Size
from deploy.runtime.runner import Runner

MARGIN_PX = 24


@dataclass(frozen=True)
class Tiling:
    """Where tiles lie on one picture.

    Attributes:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        tile: size of every tile.
        margin_px: how much of a tile's rim is discarded where another tile covers it; ``None``:
            ``most_margin_px``, or a quarter of a side where that is less.
        most_margin_px: see ``margin_px``.
    """

    height: int
    width: int
    tile: Size = USUAL_SIZE
    margin_px: int | None = None
    most_margin_px: int = MARGIN_PX

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """First row of every row of tiles."""
        return _starts(self.height, self.tile.height_px, self._margin(self.tile.height_px))

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """First column of every column of tiles."""
        return _starts(self.width, self.tile.width_px, self._margin(self.tile.width_px))

    def along(self, axis: int) -> tuple[int, int]:
        """Return side and margin of a tile, in pixels: downwards for axis 0, across for axis 1."""
        side_px = self.tile.sides[axis]
        return side_px, self._margin(side_px)

    def used(self, axis: int) -> Iterator[tuple[int, slice]]:
        """Yield where each tile begins along an axis, and which of its pixels are used there.

        >>> [(start, used.start, used.stop) for start, used in Tiling(200, 128).used(0)]
        [(0, 0, 104), (72, 24, 128)]
        """
        starts = (self.rows, self.columns)[axis]
        side_px, margin_px = self.along(axis)
        for start in starts:
            first = 0 if start == starts[0] else margin_px
            yield start, slice(first, side_px - (0 if start == starts[-1] else margin_px))

    def _margin(self, side_px: int) -> int:
        return min(self.most_margin_px, side_px // 4) if self.margin_px is None else self.margin_px

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


Draw = Callable[[int, int], Floating]
"""Draws the tile from a row and a column on: float [C, h*scale, w*scale]."""


def enlarged_bands(
    draw: Draw, tiling: Tiling, scale: int, finish: Callable[[Floating], AnyArray] = np.asarray
) -> Iterator[AnyArray]:
    """Yield the enlarged picture in bands of its full width, from the top down.

    What overlaps is blended as soon as both tiles are drawn, and finished pixels are kept in the
    type of the result: no more than a row of tiles is in memory, whatever the picture's height.

    Args:
        draw: gives each tile; they are asked for row by row.
        tiling: where they lie.
        scale: output pixels per input pixel along one side.
        finish: turns blended pixels, [C, rows, columns], into those of the result.

    Yields:
        What ``finish`` gives, [C', rows, width*scale]; the rows add up to height*scale.
    """
    height, width = (side * scale for side in tiling.tile.sides)
    down = _fades(tiling.rows, *tiling.along(0), scale)
    across = _fades(tiling.columns, *tiling.along(1), scale)
    above: Floating | None = None
    for row, next_row, fade_down in zip(tiling.rows, (*tiling.rows[1:], None), down, strict=True):
        kept = height if next_row is None else (next_row - row) * scale
        band: AnyArray | None = None
        below: Floating | None = None
        beside: Floating | None = None
        columns = zip(tiling.columns, (*tiling.columns[1:], None), across, strict=True)
        for column, next_column, fade_across in columns:
            drawn = np.array(draw(row, column))
            if beside is not None:
                _cross_fade(beside, drawn[:, :, : len(fade_across)], fade_across)
            done = width if next_column is None else (next_column - column) * scale
            beside = drawn[:, :, done:].copy()
            place = slice(column * scale, column * scale + done)
            if above is not None:
                corner = above[:, :, place]
                _cross_fade(corner, drawn[:, : len(fade_down), :done], fade_down[:, np.newaxis])
            finished = finish(drawn[:, :kept, :done])
            if band is None or below is None:
                line = tiling.width * scale
                band = np.empty((len(finished), kept, line), finished.dtype)
                below = np.empty((len(drawn), height - kept, line), drawn.dtype)
            band[:, :, place] = finished
            below[:, :, place] = drawn[:, kept:, :done]
        above = below
        assert band is not None
        yield band


def tiled_runner(
    run: Runner, scale: int, tile: Size = USUAL_SIZE, *, margin_px: int | None = None
) -> Runner:
    """Return ``run``, which takes one size only, as a function of pictures of any size.

    Args:
        run: maps float32 [1, 3, h, w] to [1, 3, h*scale, w*scale].
        scale: output pixels per input pixel along one side.
        tile: h and w, the size of the network's input.
        margin_px: see :class:`Tiling`.

    Returns:
        A function from float32 [1, 3, H, W] to [1, 3, H*scale, W*scale].
    """

    def tiled(network_input: Float32) -> Float32:
        height, width = network_input.shape[2:]
        missing = [
            (0, max(0, needed - side))
            for needed, side in zip(tile.sides, (height, width), strict=True)
        ]
        padded = np.pad(network_input, ((0, 0), (0, 0), *missing), mode="reflect")
        tiling = Tiling(padded.shape[2], padded.shape[3], tile, margin_px)

        def draw(row: int, column: int) -> Float32:
            bottom, right = row + tile.height_px, column + tile.width_px
            drawn: Float32 = run(np.ascontiguousarray(padded[:, :, row:bottom, column:right]))[0]
            return drawn

        output = np.concatenate(list(enlarged_bands(draw, tiling, scale)), axis=1)[np.newaxis]
        return np.ascontiguousarray(output[:, :, : height * scale, : width * scale])

    return tiled


def in_tiles(run: Runner, tile: Size, reach_px: int, scale: int) -> Runner:
    """Return ``run``, which takes one size only, as a function of any larger one, exactly.

    Nothing is blended: ``run`` looks no further than ``reach_px`` around a pixel, so what it draws
    beyond that from the rim of a tile is what it draws of the whole.

    Args:
        run: maps [1, C, h, w] to float32 [1, C', h*scale, w*scale].
        tile: h and w.
        reach_px: how far around a pixel ``run`` looks.
        scale: output pixels per input pixel along one side.
    """

    def tiled(given: Float32) -> Float32:
        height, width = given.shape[2:]
        tiling = Tiling(height, width, tile, reach_px)
        if len(tiling) == 1:
            return run(given)
        made: Float32 | None = None
        for row in tiling.rows:
            for column in tiling.columns:
                bottom, right = row + tile.height_px, column + tile.width_px
                drawn = run(np.ascontiguousarray(given[:, :, row:bottom, column:right]))
                if made is None:
                    made = np.empty((*drawn.shape[:2], height * scale, width * scale), drawn.dtype)
                rim = [reach_px if start else 0 for start in (row, column)]
                top, left = (
                    (start + own) * scale for start, own in zip((row, column), rim, strict=True)
                )
                inner = drawn[:, :, rim[0] * scale :, rim[1] * scale :]
                made[:, :, top : bottom * scale, left : right * scale] = inner
        assert made is not None  # there is a tile
        return made

    return tiled


def _starts(length: int, tile: int, margin: int) -> tuple[int, ...]:
    """Return the first pixel of each tile along one side, evenly spread and flush at both ends.

    >>> _starts(128, 128, 16), _starts(300, 128, 16)
    ((0,), (0, 86, 172))
    """
    step = tile - 2 * margin
    count = max(1, math.ceil((length - 2 * margin) / step))
    return tuple(round(index * (length - tile) / max(1, count - 1)) for index in range(count))


def _fades(starts: tuple[int, ...], tile: int, margin: int, scale: int) -> list[Float32]:
    """Return what each tile counts in its overlap with the one before it, float32 [overlap*scale].

    It rises from 0 to 1 over what neither of the two discards.

    >>> [fade.tolist() for fade in _fades((0, 6), 10, 1, 1)]
    [[], [0.0, 0.25, 0.75, 1.0]]
    """
    fades = []
    for before, start in zip((None, *starts), starts, strict=False):
        overlap = 0 if before is None else before + tile - start
        position = (np.arange(overlap * scale) + 0.5) / scale - margin
        # Where the two discards meet there is nothing to blend: the one takes over from the other.
        fade = position / (overlap - 2 * margin) if overlap > 2 * margin else position > 0
        fades.append(np.clip(fade, 0.0, 1.0).astype(np.float32))
    return fades


def _cross_fade(before: Floating, drawn: Floating, share: Float32) -> None:
    """Blend the overlap of two tiles into ``drawn``, which counts ``share``, in place."""
    drawn -= before
    drawn *= share
    drawn += before
