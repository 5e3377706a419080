"""Choose what of a photograph a network is judged on: tiles at its own size, and the whole.

A photograph is enlarged tile by tile at its own size, while calibration and published figures
take it whole, reduced to a tile, which is sharper and hides what the eye finds. So of each one
larger than a tile three pictures are judged:

    the middle tile
    the most detailed tile of all others on a grid of half tiles: that of the largest sum of
        absolute Laplacians of R + 2 G + B, the first by row and column where several are equal
    the whole, reduced to a tile by area

Of any other there is the whole alone. What is chosen follows from the pixels.
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from calib.arrays import AnyArray
from calib.dataset import PatchRef, PatchSet
from calib.degradation.parameters import Degradation
from calib.images import Picture
from calib.photos import Photo
from calib.tile import USUAL_SIZE, Size
from calib.views import CropView, PlainView, WholeView, degraded_view, is_larger


def judged_patches(
    photos: Sequence[Photo],
    *,
    seed: int = 0,
    size: Size = USUAL_SIZE,
    degradation: Degradation | None = None,
) -> PatchSet:
    """Return what photographs are judged on: the middle tile of each, then the rest in turns.

    Args:
        photos: at least one.
        seed: of the degradation.
        size: of every tile.
        degradation: what to do to the photographs; ``None``: nothing. Then tiles are those of the
            photograph that the network would draw.

    Raises:
        ImageError: a photograph does not decode.
    """
    scale = 1 if degradation is None else degradation.scale
    sides = (size.height_px * scale, size.width_px * scale)
    turns = []
    for photo in photos:
        picture = photo.read()
        views = [degraded_view(view, degradation, seed) for view in judged_views(picture, sides)]
        turns.append([PatchRef.describe(photo, view, picture, size) for view in views])
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*turns))
    patches = tuple(patch for patch in dealt if patch is not None)
    return PatchSet("folder", "both", seed, None, patches, size, degradation)


def judged_views(picture: Picture, sides: tuple[int, int]) -> tuple[PlainView, ...]:
    """Return what a picture, uint8 [H, W, 3], is judged on with tiles of those sides."""
    if not is_larger(picture.shape, sides):
        return (WholeView(),)
    rows, columns = (max(0, s - t) // 2 for s, t in zip(picture.shape, sides, strict=False))
    middle = CropView(rows, columns)
    others = (corner for corner in _by_detail(picture, sides) if corner != (rows, columns))
    detailed = next(others, None)
    return (middle, *([] if detailed is None else [CropView(*detailed)]), WholeView())


def _by_detail(picture: Picture, sides: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the corners of a grid of half tiles, the most detailed tile first.

    Sums are of integers: they are the same on every machine.
    """
    down, across = (-(-side // 2) for side in sides)
    detail = _laplacian(picture)
    missing = [
        max(0, 2 * step - side) for side, step in zip(detail.shape, (down, across), strict=True)
    ]
    if any(missing):
        detail = np.pad(detail, [(0, pixels) for pixels in missing])
    rows, columns = detail.shape[0] // down, detail.shape[1] // across
    kept = detail[: rows * down, : columns * across]
    cells = kept.reshape(rows, down, columns, across).sum(axis=(1, 3), dtype=np.int64)
    tiles = cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]
    ranked = np.argsort(-tiles, axis=None, kind="stable")
    return [
        (int(row) * down, int(column) * across)
        for row, column in zip(*np.unravel_index(ranked, tiles.shape), strict=True)
    ]


def _laplacian(picture: Picture) -> AnyArray:
    """Return the absolute Laplacian of R + 2 G + B, int16 [H, W], at most 4 * 1020."""
    weighted = picture.astype(np.int16) @ np.array([1, 2, 1], np.int16)
    return np.abs(cv2.Laplacian(weighted, cv2.CV_16S))
