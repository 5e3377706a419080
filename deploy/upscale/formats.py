"""State what each picture format holds: how many bits, alpha or none, how long a side."""

from dataclasses import dataclass
from pathlib import Path

from calib.errors import UsageError


@dataclass(frozen=True)
class Format:
    """A format that pictures are read from and written to.

    Attributes:
        name: what people call it.
        suffixes: of its files, in lower case; the first is the usual one.
        bits: most bits that a sample may have; more are rounded to it.
        alpha: whether it holds an alpha channel.
        most_px: longest side, in pixels.
    """

    name: str
    suffixes: tuple[str, ...]
    bits: int
    alpha: bool
    most_px: int


FORMATS = (
    Format("PNG", (".png",), 16, alpha=True, most_px=1_000_000),
    Format("JPEG", (".jpg", ".jpeg"), 8, alpha=False, most_px=65_500),
    Format("WebP", (".webp",), 8, alpha=True, most_px=16_383),
    Format("TIFF", (".tif", ".tiff"), 16, alpha=True, most_px=1_000_000),
    Format("AVIF", (".avif",), 12, alpha=True, most_px=16_384),
)
SUFFIXES = tuple(suffix for item in FORMATS for suffix in item.suffixes)


def format_of(path: Path) -> Format:
    """Return the format that a file's suffix names.

    Raises:
        UsageError: it names none of them.

    >>> format_of(Path("photo.JPG")).name
    'JPEG'
    """
    for item in FORMATS:
        if path.suffix.lower() in item.suffixes:
            return item
    raise UsageError(
        f"{path}: found the suffix {path.suffix or '(none)'}; expected one of {' '.join(SUFFIXES)}"
    )


def require_room(path: Path, height: int, width: int, *, alpha: bool) -> None:
    """Make sure that a format holds a picture.

    Args:
        path: of the file to be written.
        height: rows, in pixels.
        width: columns, in pixels.
        alpha: whether the picture has an alpha channel.

    Raises:
        UsageError: it does not.
    """
    item = format_of(path)
    if max(height, width) > item.most_px:
        raise UsageError(
            f"{path}: the enlarged picture has {height}x{width} pixels, {item.name} holds at most "
            f"{item.most_px} a side; write .png or .tif, or ask for a smaller --scale"
        )
    if alpha and not item.alpha:
        raise UsageError(f"{path}: {item.name} has no alpha channel, the picture has; write .png")
