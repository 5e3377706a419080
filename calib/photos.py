"""Find the photographs that patches are cut from, in an order drawn from a seed.

The order comes from ``numpy.random.default_rng`` seeded with the seed, so a larger count begins
with the same photographs as a smaller one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from calib.div2k import calibration_images, image_files, is_div2k, unpaired_photographs
from calib.errors import UsageError
from calib.images import Picture, read_image

_ORDER = (
    0  # the generator's second seed word; that of the cuts is another (calib/choose_patches.py)
)


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


def shuffled_photos(folder: Path, seed: int, *, degraded: bool = False) -> list[PhotoFile]:
    """Return the photographs of a folder that patches are chosen from, in the order of the choice.

    Args:
        folder: where the images are.
        seed: of the order.
        degraded: they are to be degraded: of a DIV2K layout the HR images.

    Raises:
        UsageError: the seed is negative.
        ImageSetError: the folder holds no image that may be used.
    """
    if seed < 0:
        raise UsageError(f"seed {seed}; expected 0 or more")
    photos = _candidates(folder, degraded=degraded)
    order = np.random.default_rng([seed, _ORDER]).permutation(len(photos))
    return [photos[index] for index in order]


def _candidates(folder: Path, *, degraded: bool) -> list[PhotoFile]:
    if not is_div2k(folder):
        paths = image_files(folder)
    else:
        paths = unpaired_photographs(folder) if degraded else calibration_images(folder)
    return [PhotoFile(path.relative_to(folder).as_posix(), path.absolute()) for path in paths]
