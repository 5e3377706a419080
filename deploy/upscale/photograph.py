"""Read picture files as they are: depth, alpha, colour profile and metadata kept.

| file                   | becomes                                                              |
|------------------------|----------------------------------------------------------------------|
| gray, 1 bit            | one channel; 1-bit samples 0 and 255                                 |
| palette                | RGB, with alpha where a colour is transparent                        |
| 16 bits, 10 or 12 bits | uint16 over its whole interval                                       |
| EXIF orientation       | turned upright, the tag removed                                      |
| CMYK                   | sRGB, through its own profile or a usual one for print               |
| other profiles         | samples as stored, the profile kept                                  |
| several frames, pages  | refused                                                              |
| float, 32-bit, Lab     | refused: the interval of such samples is not known                   |
| cut off, damaged       | refused                                                              |

Calibration reads pictures by its own rules (`calib.images`): a network is calibrated on 8-bit RGB.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips

from calib.arrays import AnyArray
from calib.colours import RGB
from calib.errors import ImageError
from deploy.upscale.formats import format_of
from deploy.upscale.samples import in_gray

MOST_PIXELS = 1 << 28
_LOADED = frozenset(("b-w", "grey16", "srgb", "rgb", "rgb16", "cmyk"))
_DTYPES = {"uchar": np.uint8, "ushort": np.uint16}
_PNG = b"\x89PNG"

# What libvips has to say is raised, or is of no interest: nothing of it goes to stderr.
logging.getLogger("pyvips").addHandler(logging.NullHandler())
pyvips.cache_set_max(0)  # a file that changes between two reads is read again


@dataclass(frozen=True, eq=False)
class Photograph:
    """One picture in memory.

    Attributes:
        samples: uint8 or uint16 [H, W, C], upright: gray, gray and alpha, RGB, or RGB and alpha.
        header: an image that carries the metadata; its pixels are not read.
    """

    samples: AnyArray
    header: pyvips.Image

    @property
    def alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.samples.shape[2] in (2, 4)

    def in_gray(self) -> "Photograph":
        """Return its luma (BT.601, as in `calib.images`) and alpha; no colour profile fits it."""
        if self.samples.shape[2] < RGB:
            return self
        header = self.header.copy()
        if header.get_typeof("icc-profile-data"):
            header.remove("icc-profile-data")
        return Photograph(in_gray(self.samples), header)


@dataclass(frozen=True)
class Extent:
    """What the head of a picture file says of its samples.

    Attributes:
        height: rows of the upright picture.
        width: columns of it.
        channels: 1 to 4, alpha the last of an even number.
        sample_bytes: 1 or 2.
    """

    height: int
    width: int
    channels: int
    sample_bytes: int


def read_extent(path: Path) -> Extent:
    """Read the size of a picture without decoding it.

    Raises:
        ImageError: the file cannot be read, or holds what is not enlarged.
        UsageError: its suffix is of no picture format.
    """
    image = _opened(path)
    turned = _orientation(image) >= 5
    height, width = (image.width, image.height) if turned else (image.height, image.width)
    channels = image.bands - (image.interpretation == "cmyk")
    return Extent(height, width, channels, np.dtype(_DTYPES[image.format]).itemsize)


def read_photograph(path: Path) -> Photograph:
    """Read a picture by the rules of the module's table.

    Raises:
        ImageError: the file cannot be read, or holds what is not enlarged.
        UsageError: its suffix is of no picture format.
    """
    image = _opened(path)
    with _refusals(path):
        if image.interpretation == "cmyk":
            image = image.icc_transform("srgb", embedded=True, input_profile="cmyk")
        # Rows come once and in order, unless the picture is turned: then it is decoded first.
        header = image.autorot()
        upright = image.copy_memory().autorot() if _orientation(image) > 1 else image
        samples = upright.numpy()
    return Photograph(np.atleast_3d(samples), header)


def _orientation(image: pyvips.Image) -> int:
    """Return the EXIF orientation, 1 where nothing is to be turned."""
    return int(image.get("orientation")) if image.get_typeof("orientation") else 1


def _opened(path: Path) -> pyvips.Image:
    """Open a file and judge its head."""
    format_of(path)
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not head:
        raise ImageError(f"{path}: the file is empty; expected a picture")
    with _refusals(path):
        image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="truncated")
        pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    animated = head.startswith(_PNG) and b"acTL" in head.partition(b"IDAT")[0]
    if pages > 1 or animated:
        found = f"{pages} frames or pages" if pages > 1 else "an animation"
        raise ImageError(f"{path}: holds {found}; expected one picture: take it apart first")
    if image.interpretation not in _LOADED or image.format not in _DTYPES:
        raise ImageError(
            f"{path}: holds {image.interpretation} samples of type {image.format}; expected gray, "
            "RGB or CMYK in 8 or 16 bits: convert it"
        )
    if image.bands > (5 if image.interpretation == "cmyk" else 4):
        raise ImageError(f"{path}: holds {image.bands} channels; expected at most 3 and alpha")
    if image.width * image.height > MOST_PIXELS:
        raise ImageError(
            f"{path}: has {image.height}x{image.width} pixels; expected at most {MOST_PIXELS}"
        )
    return image


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except pyvips.Error as error:
        raise ImageError(f"{path}: is no whole picture: {vips_reason(error)}") from error


def vips_reason(error: pyvips.Error) -> str:
    """Return the line of libvips' report that says most: the last one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "libvips gives no reason"
