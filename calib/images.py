"""Turn image files into network input and network output into pictures.

    picture  uint8 [H, W, 3] RGB                  (read_image, decode_image)
    input    picture / 255, float32 [1, 3, H, W]  (to_input)
             of a network for gray: luma / 255, float32 [1, 1, H, W]
    picture  rint(clip(output, 0, 1) * 255)       (to_picture)

luma = 0.299 R + 0.587 G + 0.114 B, rounded to 8 bits: ITU-R BT.601 over the full range, as JPEG and
OpenCV have it. A gray picture is its own luma, and is held as RGB of three equal channels.

How each kind of file becomes a picture:

| file                    | rule                                                            |
|-------------------------|-----------------------------------------------------------------|
| gray, 1-bit             | the one channel is repeated three times                         |
| gray + alpha, RGBA      | alpha is dropped, colours stay as stored: what Real-ESRGAN's    |
|                         | own inference feeds its RGB network                             |
| TIFF with alpha         | the same, but libtiff hands colours out multiplied by alpha     |
| palette                 | expanded to its colours                                         |
| 16 bits per sample      | x / 257, rounded: 0 -> 0, 65535 -> 255                          |
| EXIF orientation        | turned upright (JPEG, PNG, TIFF; WebP from OpenCV 5 on)         |
| CMYK                    | as OpenCV converts it, without a colour profile                 |
| several pages or frames | the first                                                       |
| float, 32-bit integer   | refused: the range of such samples is not known                 |
| cut off, damaged, empty | refused                                                         |
| over 2^27 pixels        | refused by its header, before any memory is taken for it        |
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calib.arrays import AnyArray, Float32, Floating, UInt8
from calib.colours import GRAY, RGB, Channels
from calib.errors import ImageError, UsageError, VerificationError
from calib.files import read_whole, write_atomically

Picture = UInt8

# Not IMREAD_UNCHANGED: that one flag also switches EXIF orientation off (OpenCV 4.10 to 5.0).
# These two keep gray gray and 16 bits 16, drop alpha, and turn the picture upright.
_AS_STORED_UPRIGHT = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH

# OpenCV 5 keeps getLogLevel and setLogLevel in cv2.utils.logging, OpenCV 4 in cv2 itself.
_OPENCV_LOG: Any = getattr(cv2.utils, "logging", cv2)
_SILENT = 0
_TOO_LARGE = "CV_IO_MAX_IMAGE"

_ROWS = 64
_JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN_MARKER = 0xDA


def read_image(path: Path) -> Picture:
    """Read an image file.

    Args:
        path: the file; its name appears in the error.

    Returns:
        uint8 [H, W, 3], RGB, by the rules in the module's table.

    Raises:
        ImageError: the path cannot be read or does not hold a picture.
    """
    try:
        raw = read_whole(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ImageError(f"{path}: cannot be read as an image file: {reason}") from error
    return decode_image(raw, str(path))


def decode_image(raw: bytes, name: str) -> Picture:
    """Decode the bytes of an image file.

    Args:
        raw: the whole content of the file.
        name: what to call the file in an error.

    Returns:
        uint8 [H, W, 3], RGB, by the rules in the module's table.

    Raises:
        ImageError: the bytes are not a whole picture of a kind the table accepts.
    """
    if not raw:
        raise ImageError(f"{name}: the file is empty; expected an image: replace or remove it")
    if _is_cut_off_jpeg(raw):
        raise ImageError(
            f"{name}: this JPEG stops after {len(raw)} bytes without its end marker; "
            "fetch the file again or remove it"
        )
    with _quiet_opencv():
        try:
            stored = cv2.imdecode(np.frombuffer(raw, np.uint8), _AS_STORED_UPRIGHT)
        except cv2.error as error:
            if _TOO_LARGE in str(error):
                most = os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]
                raise ImageError(
                    f"{name}: its header asks for more than a picture may hold; expected at most "
                    f"{most} pixels (OPENCV_IO_MAX_IMAGE_PIXELS) and no side beyond 2^20: reduce it"
                ) from error
            reason = " ".join(str(error).split())
            raise ImageError(f"{name}: OpenCV refuses this image: {reason}") from error
    if stored is None:
        raise ImageError(
            f"{name}: {len(raw)} bytes that begin with {raw[:8].hex(' ')} do not decode as an "
            "image; expected a whole PNG, JPEG, WebP, BMP or TIFF file: replace or remove it"
        )
    return _to_rgb8(np.asarray(stored), name)


def in_channels(picture: Picture, channels: Channels) -> Picture:
    """Return a picture as a network of so many channels can draw it: gray where it has one.

    Args:
        picture: uint8 [H, W, 3], RGB.
        channels: of the network.

    Returns:
        uint8 [H, W, 3], RGB, of three equal channels for a network of gray.

    Raises:
        ImageError: the array is not a picture.
    """
    _require_picture(picture)
    if channels == RGB:
        return picture
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def to_input(picture: Picture, channels: Channels) -> Float32:
    """Turn a picture into the network's input.

    Args:
        picture: uint8 [H, W, 3], RGB.
        channels: of the network.

    Returns:
        float32 [1, C, H, W] in [0, 1], contiguous.

    Raises:
        ImageError: the array is not such a picture.

    >>> float(to_input(np.full((2, 2, 3), 51, np.uint8), RGB)[0, 0, 0, 0])
    0.20000000298023224
    """
    shown = in_channels(picture, channels)[:, :, :channels]
    planes: Float32 = np.ascontiguousarray(shown.transpose(2, 0, 1)[np.newaxis], dtype=np.float32)
    planes /= np.float32(255)
    return planes


def to_picture(output: Floating) -> Picture:
    """Turn the network's output into a picture: clip, times 255, round half to even.

    Args:
        output: float [1, 3, H, W], or [1, 1, H, W] of gray; values outside [0, 1] are clipped.

    Returns:
        uint8 [H, W, 3], RGB, contiguous.

    Raises:
        VerificationError: the array has another shape or type, or holds NaN or infinity. Those
            are never painted over: they are how an overflowing fp16 network shows itself.
    """
    if output.ndim != 4 or output.shape[:2] not in {(1, GRAY), (1, RGB)} or 0 in output.shape:
        raise VerificationError(
            f"the network's output has shape {list(output.shape)}; expected [1, 3, H, W], or "
            "[1, 1, H, W] of gray"
        )
    if not np.issubdtype(output.dtype, np.floating):
        raise VerificationError(
            f"the network's output is {output.dtype}; expected floating-point values in [0, 1]"
        )
    broken = output.size - int(np.count_nonzero(np.isfinite(output)))
    if broken:
        raise VerificationError(
            f"the network's output holds {broken} NaN or infinite values of {output.size}: "
            "the model overflowed or its weights are damaged"
        )
    scaled = np.rint(np.clip(output[0], 0, 1).astype(np.float32) * np.float32(255))
    planes = np.broadcast_to(scaled, (RGB, *scaled.shape[1:]))
    return np.ascontiguousarray(planes.transpose(1, 2, 0), dtype=np.uint8)


def to_pictures(outputs: Floating) -> list[Picture]:
    """Turn an output of several pictures, float [N, C, H, W], into them; see :func:`to_picture`.

    Raises:
        VerificationError: the array has another shape or type, or holds NaN or infinity.
    """
    return [to_picture(outputs[number : number + 1]) for number in range(len(outputs))]


def resize_area(picture: Picture, height: int, width: int) -> Picture:
    """Resize by pixel area relation (OpenCV's INTER_AREA); the aspect ratio is not kept.

    Args:
        picture: uint8 [H, W, 3].
        height: rows of the result, in pixels.
        width: columns of the result, in pixels.

    Returns:
        uint8 [height, width, 3].

    Raises:
        ImageError: the array is not a picture.
    """
    _require_picture(picture)
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)


def write_image(path: Path, picture: Picture) -> None:
    """Write a picture as PNG; the file is there whole or not at all.

    Args:
        path: where to write; the suffix must be ``.png`` and the folder must exist.
        picture: uint8 [H, W, 3], RGB.

    Raises:
        UsageError: the path is not a ``.png`` or cannot be written.
        ImageError: the array is not a picture.
    """
    _require_picture(picture)
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: pictures are written as PNG; give a name that ends in .png")
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_atomically(path, encoded.tobytes())


def _to_rgb8(stored: AnyArray, name: str) -> Picture:
    if stored.dtype == np.uint16:
        stored = _eight_bits(stored)
    if stored.dtype != np.uint8:
        raise ImageError(
            f"{name}: holds {stored.dtype} samples, whose range is not known; "
            "expected 8 or 16 bits per sample: convert the file"
        )
    code = cv2.COLOR_GRAY2RGB if stored.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(stored, code), dtype=np.uint8)


def _eight_bits(stored: AnyArray) -> UInt8:
    """Reduce 16 bits to 8, a few rows at a time: a large picture is held once, not five times."""
    reduced = np.empty(stored.shape, np.uint8)
    for top in range(0, len(stored), _ROWS):
        # 257 is odd, so x / 257 never lies half way and adding 128 rounds to nearest.
        rows = (stored[top : top + _ROWS].astype(np.uint32) + 128) // 257
        reduced[top : top + _ROWS] = rows
    return reduced


def _require_picture(picture: Picture) -> None:
    shape = picture.shape
    if picture.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ImageError(
            f"found an array {picture.dtype} {list(shape)} where a picture uint8 [H, W, 3] in "
            "RGB was expected"
        )


def _is_cut_off_jpeg(raw: bytes) -> bool:
    """Say whether a JPEG lacks its end marker; OpenCV before 4.12 fills the rest with gray.

    The search begins at the first scan, because an EXIF thumbnail before it has an end
    marker of its own. Inside a scan 0xFF is always followed by a stuffed 0x00 (ITU T.81, B.1.1.5).
    """
    if not raw.startswith(_JPEG_START):
        return False
    at = len(_JPEG_START)
    while at + 4 <= len(raw) and raw[at] == 0xFF and raw[at + 1] != _JPEG_SCAN_MARKER:
        is_fill_byte = raw[at + 1] == 0xFF
        at += 1 if is_fill_byte else 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return raw.find(_JPEG_END, at) < 0


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's log off stderr: what it would say there is raised as an ImageError."""
    before = _OPENCV_LOG.getLogLevel()
    _OPENCV_LOG.setLogLevel(_SILENT)
    try:
        yield
    finally:
        _OPENCV_LOG.setLogLevel(before)
