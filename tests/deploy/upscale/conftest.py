"""What the tests of this folder share: pictures of every kind, made here, and a tiny build."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
from skimage import data

Array = np.ndarray


def photo(height: int = 23, width: int = 37, channels: int = 3, bits: int = 8) -> Array:
    """A piece of a photograph [H, W, C], its alpha, where it has one, a ramp."""
    wide = np.tile(data.astronaut(), (1 + height // 512, 1 + width // 512, 1))[:height, :width]
    if channels < 3:
        wide = wide[:, :, 1:2]
    samples = wide.astype(np.uint16) * 257 if bits == 16 else wide
    if channels in (2, 4):
        ramp = np.linspace(0, np.iinfo(samples.dtype).max, width).astype(samples.dtype)
        alpha = np.broadcast_to(ramp[np.newaxis, :, np.newaxis], (height, width, 1))
        samples = np.concatenate([samples, alpha], axis=2)
    return np.ascontiguousarray(samples)


def image(samples: Array, **fields: object) -> pyvips.Image:
    """Return samples as an image, with metadata fields such as ``orientation=6``."""
    gray = samples.shape[2] < 3
    deep = samples.dtype == np.uint16
    name = {(0, 0): "srgb", (0, 1): "rgb16", (1, 0): "b-w", (1, 1): "grey16"}[gray, deep]
    made = pyvips.Image.new_from_array(samples, interpretation=name).copy_memory()
    for field, value in fields.items():
        kind = pyvips.GValue.gint_type if isinstance(value, int) else pyvips.GValue.blob_type
        made.set_type(kind, field.replace("_", "-"), value)
    return made


def palette(path: Path) -> None:
    image(photo()).pngsave(str(path), palette=True, Q=90)


def cmyk(path: Path) -> None:
    image(photo()).icc_transform("cmyk").jpegsave(str(path))


def profile(path: Path) -> None:
    image(photo()).icc_transform("p3").jpegsave(str(path), Q=95)


KINDS: dict[str, Callable[[Path], object]] = {
    "one pixel.png": lambda path: image(photo(1, 1)).pngsave(str(path)),
    "wide.png": lambda path: image(photo(3, 600)).pngsave(str(path)),
    "tall.png": lambda path: image(photo(600, 3)).pngsave(str(path)),
    "gray.png": lambda path: image(photo(channels=1)).pngsave(str(path)),
    "gray.jpg": lambda path: image(photo(channels=1)).jpegsave(str(path)),
    "gray alpha.png": lambda path: image(photo(channels=2)).pngsave(str(path)),
    "bits.png": lambda path: (image(photo(channels=1)) > 128).pngsave(str(path), bitdepth=1),
    "rgb.jpeg": lambda path: image(photo()).jpegsave(str(path)),
    "rgba.webp": lambda path: image(photo(channels=4)).webpsave(str(path), lossless=True),
    "rgba.png": lambda path: image(photo(channels=4)).pngsave(str(path)),
    "rgba16.png": lambda path: image(photo(channels=4, bits=16)).pngsave(str(path)),
    "gray16.tif": lambda path: image(photo(channels=1, bits=16)).tiffsave(str(path)),
    "rgb16.tiff": lambda path: image(photo(bits=16)).tiffsave(str(path)),
    "palette.png": palette,
    "cmyk.jpg": cmyk,
    "profile.jpg": profile,
    "turned.jpg": lambda path: image(photo(), orientation=6).jpegsave(str(path)),
    "photo.AVIF": lambda path: image(photo()).heifsave(
        f"{path.with_suffix('.avif')}", compression="av1"
    ),
}
"""How a picture of each kind is written."""


def write_kind(kind: str, folder: Path) -> Path:
    """Write a picture of a kind, and return its path."""
    path = folder / kind
    KINDS[kind](path)
    if not path.exists():  # libvips chooses by a suffix in lower case
        path.with_suffix(path.suffix.lower()).rename(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three small photographs, one of them in a folder of its own."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "more/c.png")):
        samples = np.roll(photo(20, 24), 7 * number, axis=1)
        image(samples).write_to_file(str(folder / name))
    return folder
