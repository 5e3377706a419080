"""Write an enlarged picture while it is being drawn, whole or not at all.

A picture of 40 megapixels becomes one of 640: it is never in memory. libvips pulls it, band by
band, through the one stream that it reads in every depth and with alpha: a PNG without
compression, whose framing is below (PNG specification, sections 5.2 to 5.6 and 10). It resizes and
encodes what has arrived meanwhile.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
import pyvips

from calib.ahead import ahead
from calib.arrays import AnyArray
from calib.errors import UsageError
from calib.files import whole_file
from deploy.upscale.formats import format_of
from deploy.upscale.photograph import Photograph, vips_reason

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: gray, gray + alpha, RGB, RGB + alpha
_KEPT = ("exif-data", "xmp-data", "iptc-data", "icc-profile-data")
_BIG_TIFF_BYTES = 4_000_000_000


@dataclass(frozen=True)
class Drawing:
    """A picture that is being drawn.

    Attributes:
        height: rows, in pixels.
        width: columns, in pixels.
        channels: 1 to 4, alpha the last of an even number.
        bits: of a sample, 8 or 16.
        bands: uint8 or uint16 [rows, width, channels], from the top down.
    """

    height: int
    width: int
    channels: int
    bits: int
    bands: Iterable[AnyArray]


def write_picture(
    path: Path, drawing: Drawing, like: Photograph, size: tuple[int, int], quality: int
) -> None:
    """Write a picture as it is drawn, with the metadata of another.

    Args:
        path: of the file; its suffix names the format.
        drawing: what is written.
        like: whose metadata and colour profile it gets.
        size: height and width of the file; a drawing of another size is resized (Lanczos).
        quality: of JPEG, WebP and AVIF, 1 to 100.

    Raises:
        UsageError: the file cannot be written.
        EsrdeployError: what drawing it raised.
    """
    with whole_file(path) as part, ThreadPoolExecutor(2) as pool:
        stream = _Stream(ahead(pool, _png(drawing)))

        def save() -> None:
            image = pyvips.Image.pngload_source(
                stream.source, access="sequential", fail_on="truncated", unlimited=True
            )
            if (image.height, image.width) != size:
                image = image.resize(size[1] / image.width, vscale=size[0] / image.height)
            _save(_with_metadata(image, like), part, path, quality)

        # Not in this thread: a call into libvips would keep an interrupt waiting.
        saved = pool.submit(save)
        try:
            saved.exception()
        finally:
            stream.stopped.set()
        # Whatever libvips made of what it got: a drawing that broke off is no picture.
        if stream.failure is not None:
            raise stream.failure
        try:
            saved.result()
        except pyvips.Error as error:
            raise UsageError(f"cannot write {path}: {vips_reason(error)}") from error


class _Stream:
    """The bytes of a drawing, as libvips asks for them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.failure: BaseException | None = None
        self.stopped = Event()
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._read)
        self._chunks = chunks
        self._left = memoryview(b"")

    def _read(self, size: int) -> bytes:
        """Return at most ``size`` bytes, none at the end; nothing may be raised into libvips."""
        try:
            while not self._left and not self.stopped.is_set():
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._left = memoryview(chunk)
        except BaseException as error:  # noqa: BLE001  # raised again by whoever started it
            self.failure = error
        if self.stopped.is_set() or self.failure is not None:
            return b""
        given, self._left = self._left[:size], self._left[size:]
        return bytes(given)


def _png(drawing: Drawing) -> Iterator[bytes]:
    """Yield a drawing as PNG, its samples stored as they are."""
    kind = _COLOUR_TYPES[drawing.channels]
    head = struct.pack(">IIBBBBB", drawing.width, drawing.height, drawing.bits, kind, 0, 0, 0)
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head)
    stored = zlib.compressobj(0)
    for band in drawing.bands:
        for rows in np.array_split(band, max(1, band.nbytes >> 24)):
            big_endian = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder(">")))
            lines = big_endian.view(np.uint8).reshape(len(rows), -1)
            filtered = np.pad(lines, ((0, 0), (1, 0)))  # filter 0 of each row: none
            yield _chunk(b"IDAT", stored.compress(filtered.tobytes()))
    yield _chunk(b"IDAT", stored.flush()) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _with_metadata(image: pyvips.Image, like: Photograph) -> pyvips.Image:
    """Return an image with the EXIF, XMP, IPTC and profile of a photograph."""
    header = like.header
    image = image.copy(xres=header.xres, yres=header.yres)
    for name in header.get_fields():
        if name in _KEPT or name.startswith("exif-ifd"):
            image.set_type(header.get_typeof(name), name, header.get(name))
    if header.get_typeof("exif-data"):  # within it the tag is still that of the file that was read
        image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    return image


def _save(image: pyvips.Image, part: Path, path: Path, quality: int) -> None:
    """Write an image to ``part`` in the format that ``path`` names."""
    name, file = format_of(path).name, str(part)
    if name == "PNG":
        # Half the bytes of the defaults, which filter nothing, in three fifths of the time.
        image.pngsave(file, compression=3, filter="avg")
    elif name == "JPEG":
        # Without optimize_coding, for which libjpeg keeps the whole picture.
        image.jpegsave(file, Q=quality, subsample_mode="off")
    elif name == "WebP":
        image.webpsave(file, Q=quality)
    elif name == "TIFF":
        size_bytes = (
            image.height * image.width * image.bands * (2 if image.format == "ushort" else 1)
        )
        big = size_bytes > _BIG_TIFF_BYTES
        image.tiffsave(file, compression="deflate", predictor="horizontal", bigtiff=big)
    else:
        depth = 12 if image.format == "ushort" else 8
        image.heifsave(file, Q=quality, compression="av1", bitdepth=depth)
