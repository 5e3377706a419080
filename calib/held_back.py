"""Hold back part of a user's pictures from calibration, to judge on them what it came to.

Of the photographs of a folder, in their shuffled order, the last are held back: one in five, at
most eight; four where that leaves eight to calibrate on, for a verdict on one or two says little of
others. Fewer than five are all calibrated on. A photograph whose file is also among those
calibrated on is not held back. A DIV2K layout has its own: the LR files of its evaluation pairs,
which calibration never sees, or the HR files where photographs are degraded.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from calib.choose_patches import cut_patches
from calib.dataset import PatchRef, PatchSet
from calib.degradation.parameters import Degradation
from calib.digest import sha256_file
from calib.div2k import evaluation_pairs, is_div2k
from calib.errors import ImageSetError
from calib.images_record import ImagesRecord, Mode
from calib.native_tiles import judged_patches
from calib.photos import PhotoFile, shuffled_photos
from calib.tile import USUAL_SIZE, Size
from calib.views import degraded_view, seen_through

ONE_IN = 5
MOST = 8
FEW = 4
"""Photographs below which a verdict says little of others."""
ENOUGH = 8
"""Photographs to calibrate on that are left before as many as :data:`FEW` are held back."""


@dataclass(frozen=True)
class SplitFolder:
    """The pictures of a folder, in two parts that share no photograph.

    Attributes:
        calibration: to calibrate on.
        held_back: to judge on, at their own size too (`calib.native_tiles`); ``None`` where the
            folder holds too few.
    """

    calibration: PatchSet
    held_back: PatchSet | None


def split_folder(  # noqa: PLR0913  # all of them say which pictures
    folder: Path,
    *,
    mode: Mode,
    count: int,
    seed: int,
    size: Size = USUAL_SIZE,
    degradation: Degradation | None = None,
) -> SplitFolder:
    """Choose pictures to calibrate on, and hold others back.

    Args:
        folder: where the images are.
        mode: ``whole``, ``crop`` or ``both``, of the calibration part.
        count: how many patches to calibrate on.
        seed: of the choice.
        size: of every patch.
        degradation: what to do to the photographs of both parts; ``None``: nothing.

    Raises:
        UsageError: the count, the seed or the mode cannot be honoured.
        ImageSetError: the folder holds no image that may be used.
        ImageError: a chosen file does not decode.
    """
    degraded = degradation is not None
    photos = shuffled_photos(folder, seed, degraded=degraded)
    judges = _evaluated(folder, degraded=degraded)
    if not judges:
        back = held_back_of(len(photos))
        photos, judges = photos[: len(photos) - back], photos[len(photos) - back :]
    how: Any = {"seed": seed, "size": size, "degradation": degradation}
    calibration = cut_patches(photos, mode=mode, count=count, **how)
    used = {patch.photo.name for patch in calibration.patches}
    seen = {sha256_file(photo.path) for photo in photos if photo.name in used}
    judges = [photo for photo in judges if sha256_file(photo.path) not in seen]
    if not judges:
        return SplitFolder(calibration, None)
    return SplitFolder(calibration, judged_patches(judges, **how))


def held_back_of(count: int) -> int:
    """Return how many of so many photographs are held back.

    >>> [held_back_of(count) for count in (4, 5, 9, 11, 12, 20, 25, 100)]
    [0, 1, 1, 3, 4, 4, 5, 8]
    """
    if count < ONE_IN:
        return 0
    return min(MOST, max(count // ONE_IN, min(FEW, count - ENOUGH)))


def _evaluated(folder: Path, *, degraded: bool) -> list[PhotoFile]:
    """Return the first files of a DIV2K layout's evaluation pairs; none in another folder."""
    if not is_div2k(folder):
        return []
    try:
        pairs = evaluation_pairs(folder)
    except ImageSetError:
        return []
    paths = [pair.hr if degraded else pair.lr for pair in pairs[:MOST]]
    return [PhotoFile(path.relative_to(folder).as_posix(), path) for path in paths]


def found_patches(folder: Path, images: ImagesRecord) -> tuple[PatchRef, ...]:
    """Return those of recorded patches that a folder holds, by name and digest, in their order.

    Raises:
        ImageError: a file of that name does not decode.
    """
    found = []
    for entry in images.patches:
        name, plain = seen_through(entry.name)
        if _leaves(name):
            continue
        view = degraded_view(plain, images.degradation, images.seed)
        photo = PhotoFile(name, folder / name)
        if not photo.path.is_file():
            continue
        patch = PatchRef.describe(photo, view, photo.read(), images.size)
        if patch.sha256 == entry.sha256:
            found.append(patch)
    return tuple(found)


def _leaves(name: str) -> bool:
    """Tell whether a recorded name is of a file outside the folder that it should lie in."""
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
