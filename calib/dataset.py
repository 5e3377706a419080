"""Choose patches of one size from a folder of images, reproducibly.

A `PatchRef` holds no pixels: it knows how to make its patch again and which sha256 the patch
must then have, so a list of 1,000 costs no more memory than its names, and a file that
changed in the meantime is noticed. The two ways of making a patch:

- ``whole``: the picture reduced to the size by area, aspect ratio not kept (the vendor table's
  protocol, at 128x128). A smaller picture is enlarged.
- ``crop``: that many pixels cut out as they are, what tiled inference sees. A picture that ends
  inside the crop is first continued below and to the right by reflection, as tiles are.

Order and cuts come from ``numpy.random.default_rng`` seeded with the seed and the image's
rank, so a larger count begins with the same patches as a smaller one.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from calib.digest import sha256_bytes
from calib.div2k import calibration_images, image_files, is_div2k
from calib.errors import ImageError, UsageError
from calib.images import Picture, read_image
from calib.images_record import ImagesRecord, Mode, Origin, PatchRecord, images_digest
from calib.tile import USUAL_SIZE, Size
from calib.views import CropView, View, WholeView

# The generator's second seed word: the order of the images and the cuts are drawn apart.
_ORDER, _CUTS = 0, 1


class Photo(Protocol):
    """Where the pixels of a patch come from; pickled when images are dealt to other machines."""

    @property
    def name(self) -> str:
        """The photograph's name, without any machine's paths."""
        ...

    def read(self) -> Picture:
        """Return uint8 [H, W, 3] in RGB."""
        ...


@dataclass(frozen=True)
class PhotoFile:
    """An image file; ``name`` is its POSIX path within the folder it was found in."""

    name: str
    path: Path

    def read(self) -> Picture:
        """Return uint8 [H, W, 3] in RGB."""
        return read_image(self.path)


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

    def resized(self, size: Size) -> "PatchRef":
        """Return the reference to the same view of the photograph at that size."""
        if size == self.size:
            return self
        return PatchRef.describe(self.photo, self.view, self.photo.read(), size)

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
    """

    origin: Origin
    mode: Mode
    seed: int
    requested: int | None
    patches: tuple[PatchRef, ...]
    size: Size = USUAL_SIZE

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
        )


def unseen_patches(
    patches: Iterable[PatchRef], calibrated_on: ImagesRecord
) -> tuple[PatchRef, ...]:
    """Return the patches that are none of those calibrated on, at whichever size that was.

    Raises:
        ImageError: a photograph cannot be read, where the sizes differ.
    """
    seen = {entry.sha256 for entry in calibrated_on.patches}
    size = calibrated_on.size
    return tuple(patch for patch in patches if patch.resized(size).sha256 not in seen)


def folder_patches(
    folder: Path,
    *,
    mode: Mode,
    count: int | None,
    seed: int,
    size: Size = USUAL_SIZE,
) -> PatchSet:
    """Choose patches from a folder of images.

    In a DIV2K layout the candidates are the LR images that are in no evaluation pair; in any
    other folder they are all images, subfolders included (`calib.div2k.image_files`).

    Args:
        folder: where the images are.
        mode: ``whole`` or ``crop``.
        count: how many patches; ``None`` takes one of every image. ``whole`` stops at one per
            image and ``crop`` at all different cuts: then the set is smaller, and says so.
        seed: not negative; a different seed chooses other images and cuts.
        size: of every patch.

    Raises:
        UsageError: the count, the seed or the mode cannot be honoured.
        ImageSetError: the folder holds no image that may be used.
        ImageError: a chosen file does not decode.
    """
    photos = shuffled_photos(folder, seed)
    return cut_patches(photos, mode=mode, count=count, seed=seed, size=size)


def shuffled_photos(folder: Path, seed: int) -> list[PhotoFile]:
    """Return the photographs of a folder that patches are chosen from, in the order of the choice.

    Raises:
        UsageError: the seed is negative.
        ImageSetError: the folder holds no image that may be used.
    """
    if seed < 0:
        raise UsageError(f"seed {seed}; expected 0 or more")
    photos = _candidates(folder)
    order = np.random.default_rng([seed, _ORDER]).permutation(len(photos))
    return [photos[index] for index in order]


def cut_patches(
    shuffled: list[PhotoFile],
    *,
    mode: Mode,
    count: int | None,
    seed: int,
    size: Size = USUAL_SIZE,
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
    if mode == "whole":
        patches = [
            PatchRef.describe(photo, WholeView(), photo.read(), size) for photo in shuffled[:count]
        ]
    else:
        patches = _crops(shuffled, len(shuffled) if count is None else count, seed, size)
    return PatchSet("folder", mode, seed, count, tuple(patches), size)


def _candidates(folder: Path) -> list[PhotoFile]:
    paths = calibration_images(folder) if is_div2k(folder) else image_files(folder)
    return [PhotoFile(path.relative_to(folder).as_posix(), path.resolve()) for path in paths]


def _crops(photos: list[PhotoFile], count: int, seed: int, size: Size) -> list[PatchRef]:
    """Deal ``count`` crops to the photographs in rounds, each photograph being read once."""
    each, left_over = divmod(count, len(photos))
    rounds: list[list[PatchRef]] = []
    for rank, photo in enumerate(photos[:count]):
        picture = photo.read()
        generator = np.random.default_rng([seed, _CUTS, rank])
        cuts = itertools.islice(_cuts(picture.shape, size, generator), each + (rank < left_over))
        rounds.append([PatchRef.describe(photo, cut, picture, size) for cut in cuts])
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*rounds))
    return [patch for patch in dealt if patch is not None]


def _cuts(shape: tuple[int, ...], size: Size, generator: np.random.Generator) -> Iterator[CropView]:
    """Yield every possible crop of a picture once, in random order."""
    rows, columns = (max(1, s - e + 1) for s, e in zip(shape, size.sides, strict=False))
    seen: set[tuple[int, int]] = set()
    while len(seen) < rows * columns:
        corner = int(generator.integers(rows)), int(generator.integers(columns))
        if corner not in seen:
            seen.add(corner)
            yield CropView(*corner)
