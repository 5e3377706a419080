"""Choose patches of one size from a folder of images, reproducibly.

The ways of making a patch:

- ``whole``: the picture reduced to the size by area, aspect ratio not kept (the vendor table's
  protocol, at 128x128). A smaller picture is enlarged.
- ``crop``: that many pixels cut out as they are, what tiled inference sees. A picture that ends
  inside the crop is first continued below and to the right by reflection, as tiles are.
- ``both``: every second photograph whole and a crop of each other one, then the other way round,
  then further crops of each; of a photograph no larger than a patch there is only the whole.

With a degradation the same is done at the size that a network would draw, and the result is
degraded to the patch's (`calib.degradation.degrade`).

Cuts come from ``numpy.random.default_rng`` seeded with the seed and the image's
rank, so a larger count begins with the same patches as a smaller one.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from calib.dataset import PatchRef, PatchSet
from calib.degradation.parameters import Degradation
from calib.errors import UsageError
from calib.images import Picture
from calib.images_record import Mode
from calib.photos import PhotoFile, shuffled_photos
from calib.tile import USUAL_SIZE, Size
from calib.views import CropView, PlainView, View, WholeView, degraded_view, is_larger

MOST_CROPS = 3
"""How many crops a photograph gives in mode ``both``, beside the whole."""

_CUTS = 1  # the generator's second seed word; that of the order is another (calib/photos.py)


def folder_patches(  # noqa: PLR0913  # all of them say which patches
    folder: Path,
    *,
    mode: Mode,
    count: int | None,
    seed: int,
    size: Size = USUAL_SIZE,
    degradation: Degradation | None = None,
) -> PatchSet:
    """Choose patches from a folder of images.

    In a DIV2K layout the candidates are the LR images, or to be degraded the HR images, that are in
    no evaluation pair; in any other folder they are all images, subfolders included
    (`calib.div2k.image_files`).

    Args:
        folder: where the images are.
        mode: ``whole``, ``crop`` or ``both``.
        count: how many patches; ``None`` takes one of every image. ``whole`` stops at one per
            image, ``crop`` at all different cuts and ``both`` at the whole and :data:`MOST_CROPS`
            crops of each: then the set is smaller, and says so.
        seed: not negative; a different seed chooses other images and cuts.
        size: of every patch.
        degradation: what to do to the photographs; ``None``: nothing.

    Raises:
        UsageError: the count, the seed or the mode cannot be honoured.
        ImageSetError: the folder holds no image that may be used.
        ImageError: a chosen file does not decode.
    """
    photos = shuffled_photos(folder, seed, degraded=degradation is not None)
    how: Any = {"mode": mode, "count": count, "seed": seed, "size": size}
    return cut_patches(photos, **how, degradation=degradation)


def cut_patches(  # noqa: PLR0913  # all of them say which patches
    shuffled: list[PhotoFile],
    *,
    mode: Mode,
    count: int | None,
    seed: int,
    size: Size = USUAL_SIZE,
    degradation: Degradation | None = None,
) -> PatchSet:
    """Cut patches from photographs, the first ones first; see :func:`folder_patches`.

    Raises:
        UsageError: the count, the seed or the mode cannot be honoured.
        ImageError: a chosen file does not decode.
    """
    if mode not in get_args(Mode):
        raise UsageError(f"patch mode {mode!r}; expected one of {', '.join(get_args(Mode))}")
    if count is not None and count < 1:
        raise UsageError(f"{count} patches asked for; expected at least 1")

    def describe(photo: PhotoFile, view: View, picture: Picture) -> PatchRef:
        return PatchRef.describe(photo, degraded_view(view, degradation, seed), picture, size)

    scale = 1 if degradation is None else degradation.scale
    sides = (size.height_px * scale, size.width_px * scale)
    views = partial(_views, mode, sides)
    if mode == "whole":
        total = len(shuffled) if count is None else min(count, len(shuffled))
    else:
        total = len(shuffled) if count is None else count
    patches = _dealt(shuffled, total, seed, views, describe)
    return PatchSet("folder", mode, seed, count, tuple(patches), size, degradation)


def _dealt(
    photos: list[PhotoFile],
    count: int,
    seed: int,
    views: Callable[[int, tuple[int, ...], np.random.Generator], Iterator[PlainView]],
    describe: Callable[[PhotoFile, View, Picture], PatchRef],
) -> list[PatchRef]:
    """Deal ``count`` patches to the photographs in turns, each photograph being read once."""
    each, left_over = divmod(count, len(photos))
    turns: list[list[PatchRef]] = []
    for rank, photo in enumerate(photos[:count]):
        picture = photo.read()
        generator = np.random.default_rng([seed, _CUTS, rank])
        given = itertools.islice(views(rank, picture.shape, generator), each + (rank < left_over))
        turns.append([describe(photo, view, picture) for view in given])
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*turns))
    return [patch for patch in dealt if patch is not None]


def _views(
    mode: Mode,
    sides: tuple[int, int],
    rank: int,
    shape: tuple[int, ...],
    generator: np.random.Generator,
) -> Iterator[PlainView]:
    """Yield the views that a photograph of some rank and shape gives in a mode, in their order."""
    cuts = _cuts(shape, sides, generator)
    if mode == "crop":
        yield from cuts
    elif mode == "whole" or not is_larger(shape, sides):
        yield WholeView()
    else:
        first = next(cuts)
        yield from (first, WholeView()) if rank % 2 else (WholeView(), first)
        yield from itertools.islice(cuts, MOST_CROPS - 1)


def _cuts(
    shape: tuple[int, ...], sides: tuple[int, int], generator: np.random.Generator
) -> Iterator[CropView]:
    """Yield every possible crop of a picture once, in random order."""
    rows, columns = (max(1, s - e + 1) for s, e in zip(shape, sides, strict=False))
    seen: set[tuple[int, int]] = set()
    while len(seen) < rows * columns:
        corner = int(generator.integers(rows)), int(generator.integers(columns))
        if corner not in seen:
            seen.add(corner)
            yield CropView(*corner)
