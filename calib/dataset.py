"""Choose patches of one size from a folder of images, reproducibly.

A `PatchRef` holds no pixels: it knows how to make its patch again and which sha256 the patch
must then have, so a list of 1,000 costs no more memory than its names, and a file that
changed in the meantime is noticed. The two ways of making a patch:

- ``whole``: the picture reduced to the size by area, aspect ratio not kept (the vendor table's
  protocol, at 128x128). A smaller picture is enlarged.
- ``crop``: that many pixels cut out as they are, what tiled inference sees. A picture that ends
  inside the crop is first continued below and to the right by reflection, as tiles are.

With a degradation the same is done at the size that a network would draw, and the result is
degraded to the patch's (`calib.degradation.degrade`).

Cuts come from ``numpy.random.default_rng`` seeded with the seed and the image's
rank, so a larger count begins with the same patches as a smaller one.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from calib.degradation.parameters import Degradation
from calib.digest import sha256_bytes
from calib.errors import ImageError, UsageError
from calib.images import Picture
from calib.images_record import ImagesRecord, Mode, Origin, PatchRecord, images_digest
from calib.photos import Photo, PhotoFile, shuffled_photos
from calib.tile import USUAL_SIZE, Size
from calib.views import CropView, View, WholeView, degraded_view

_CUTS = 1  # the generator's second seed word; that of the order is another (calib/photos.py)


@dataclass(frozen=True)
class PatchRef:
    """One patch, by description.

    Attributes:
        name: the photograph's name and the view, unique within a set.
        sha256: digest of the patch's uint8 RGB bytes in row order.
        photo: where the pixels come from.
        view: which of them.
        size: of the patch.
    """

    name: str
    sha256: str
    photo: Photo
    view: View
    size: Size = USUAL_SIZE

    @classmethod
    def describe(
        cls, photo: Photo, view: View, picture: Picture, size: Size = USUAL_SIZE
    ) -> "PatchRef":
        """Make the reference to a view of ``photo``, whose pixels are ``picture``."""
        patch = view.of(picture, size)
        return cls(photo.name + view.suffix, sha256_bytes(patch.tobytes()), photo, view, size)

    def seen_as(
        self, size: Size, degradation: Degradation | None = None, seed: int = 0
    ) -> "PatchRef":
        """Return the reference to the same part of the photograph, at that size, so degraded."""
        view = degraded_view(self.view, degradation, seed)
        if (size, view) == (self.size, self.view):
            return self
        return PatchRef.describe(self.photo, view, self.photo.read(), size)

    def load(self) -> Picture:
        """Make the patch, uint8 [H, W, 3] in RGB, and check that it is the same as before.

        Raises:
            ImageError: the image cannot be read any more, or is not the same.
        """
        patch = self.view.of(self.photo.read(), self.size)
        found = sha256_bytes(patch.tobytes())
        if found != self.sha256:
            raise ImageError(
                f"{self.name}: not the patch that was listed: its pixels have sha256 {found}, "
                f"expected {self.sha256}; the file or the image decoder changed: start again"
            )
        return patch


@dataclass(frozen=True)
class PatchSet:
    """An ordered list of patches and how it was chosen.

    Attributes:
        origin: the embedded ``sample``, or a user's ``folder``.
        mode: how the patches were cut; the sample holds both kinds and says ``crop``.
        seed: what the choice was drawn with.
        requested: how many were asked for; ``None`` is all there are.
        patches: at least one reference; fewer than ``requested`` where there are no more.
        size: of every patch.
        degradation: what became of the photographs' pixels; ``None``: nothing.
    """

    origin: Origin
    mode: Mode
    seed: int
    requested: int | None
    patches: tuple[PatchRef, ...]
    size: Size = USUAL_SIZE
    degradation: Degradation | None = None

    def __len__(self) -> int:
        return len(self.patches)

    @cached_property
    def digest(self) -> str:
        """Sha256 over the mode and every patch's name and sha256, in order."""
        return images_digest(
            self.mode, (PatchRecord(patch.name, patch.sha256) for patch in self.patches)
        )

    def record(self) -> ImagesRecord:
        """Return what a calibration table keeps about its images."""
        return ImagesRecord(
            self.origin,
            self.mode,
            self.seed,
            self.requested,
            len(self.patches),
            self.size,
            self.digest,
            tuple(PatchRecord(patch.name, patch.sha256) for patch in self.patches),
            degradation=self.degradation,
        )


def unseen_patches(
    patches: Iterable[PatchRef], calibrated_on: ImagesRecord
) -> tuple[PatchRef, ...]:
    """Return the patches that are none of those calibrated on, whatever size those had.

    The part of a photograph that a degraded patch was made of counts as the same.

    Raises:
        ImageError: a photograph cannot be read, where sizes or degradations differ.
    """
    seen = {entry.sha256 for entry in calibrated_on.patches}
    how = calibrated_on.size, calibrated_on.degradation, calibrated_on.seed
    return tuple(patch for patch in patches if patch.seen_as(*how).sha256 not in seen)


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
        mode: ``whole`` or ``crop``.
        count: how many patches; ``None`` takes one of every image. ``whole`` stops at one per
            image and ``crop`` at all different cuts: then the set is smaller, and says so.
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
    if mode not in ("whole", "crop"):
        raise UsageError(f"patch mode {mode!r}; expected 'whole' or 'crop'")
    if count is not None and count < 1:
        raise UsageError(f"{count} patches asked for; expected at least 1")

    def describe(photo: PhotoFile, view: View, picture: Picture) -> PatchRef:
        return PatchRef.describe(photo, degraded_view(view, degradation, seed), picture, size)

    if mode == "whole":
        patches = [describe(photo, WholeView(), photo.read()) for photo in shuffled[:count]]
    else:
        scale = 1 if degradation is None else degradation.scale
        sides = (size.height_px * scale, size.width_px * scale)
        total = len(shuffled) if count is None else count
        patches = _crops(shuffled, total, seed, sides, describe)
    return PatchSet("folder", mode, seed, count, tuple(patches), size, degradation)


def _crops(
    photos: list[PhotoFile],
    count: int,
    seed: int,
    sides: tuple[int, int],
    describe: Callable[[PhotoFile, View, Picture], PatchRef],
) -> list[PatchRef]:
    """Deal ``count`` crops to the photographs in rounds, each photograph being read once."""
    each, left_over = divmod(count, len(photos))
    rounds: list[list[PatchRef]] = []
    for rank, photo in enumerate(photos[:count]):
        picture = photo.read()
        generator = np.random.default_rng([seed, _CUTS, rank])
        cuts = itertools.islice(_cuts(picture.shape, sides, generator), each + (rank < left_over))
        rounds.append([describe(photo, cut, picture) for cut in cuts])
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*rounds))
    return [patch for patch in dealt if patch is not None]


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
