"""Pictures of every file form come out as 8-bit RGB, upright, or are refused by name."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.errors import ImageError
from calib.images import (
    decode_image,
)

OPENCV_MAJOR = int(cv2.__version__.split(".")[0])


def encode(suffix: str, stored: np.ndarray, *options: int) -> bytes:
    """Encode an array in OpenCV's channel order (BGR)."""
    done, raw = cv2.imencode(suffix, stored, list(options))
    assert done
    return raw.tobytes()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    """Build a PNG by the specification, for the kinds that OpenCV does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def exif_orientation(value: int) -> bytes:
    """Return a TIFF block with one entry: tag 0x0112, SHORT, count 1."""
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, value, 0) + b"\0" * 4


def jpeg_with_exif(jpeg: bytes, body: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body + jpeg[2:]


@pytest.fixture
def half_tone() -> np.ndarray:
    """uint8 [16, 24, 3]: red on the left, blue on the right, upper half darker."""
    picture = np.zeros((16, 24, 3), np.uint8)
    picture[:, :12, 0] = 240
    picture[:, 12:, 2] = 240
    picture[:8] //= 2
    return picture


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_colour_comes_out_in_rgb_order(half_tone: np.ndarray, suffix: str) -> None:
    raw = encode(suffix, half_tone[..., ::-1])
    np.testing.assert_array_equal(decode_image(raw, "x"), half_tone)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_gray_is_repeated(suffix: str) -> None:
    gray = np.arange(35, dtype=np.uint8).reshape(5, 7)
    decoded = decode_image(encode(suffix, gray), "x")
    np.testing.assert_array_equal(decoded, np.repeat(gray[..., np.newaxis], 3, axis=2))


def test_one_bit_becomes_black_and_white() -> None:
    raw = png(8, 2, 1, 0, b"\0\xf0\0\x0f")
    row = np.array([255] * 4 + [0] * 4, np.uint8)
    np.testing.assert_array_equal(decode_image(raw, "x")[..., 1], np.stack([row, row[::-1]]))


@pytest.mark.parametrize("alpha", [0, 77, 255])
def test_alpha_is_dropped_and_colours_stay_as_stored(half_tone: np.ndarray, alpha: int) -> None:
    stored = np.dstack([half_tone[..., ::-1], np.full(half_tone.shape[:2], alpha, np.uint8)])
    np.testing.assert_array_equal(decode_image(encode(".png", stored), "x"), half_tone)


def test_gray_with_alpha() -> None:
    rows = b"\0" + bytes([10, 0, 20, 128]) + b"\0" + bytes([30, 255, 40, 1])
    decoded = decode_image(png(2, 2, 8, 4, rows), "x")
    expected = np.array([[10, 20], [30, 40]], np.uint8)
    np.testing.assert_array_equal(decoded, np.repeat(expected[..., np.newaxis], 3, axis=2))


@pytest.mark.parametrize("transparent", [False, True], ids=["opaque", "transparent"])
def test_palette_is_expanded(*, transparent: bool) -> None:
    palette = png_chunk(b"PLTE", bytes([250, 10, 20, 0, 128, 255]))
    extra = [palette, png_chunk(b"tRNS", b"\0")] if transparent else [palette]
    decoded = decode_image(png(2, 1, 8, 3, b"\0\x00\x01", *extra), "x")
    np.testing.assert_array_equal(decoded, [[[250, 10, 20], [0, 128, 255]]])


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=30))
def test_sixteen_bits_are_divided_by_257_and_rounded(samples: list[int]) -> None:
    stored = np.array([samples], np.uint16)
    decoded = decode_image(encode(".png", stored), "x")
    np.testing.assert_array_equal(decoded[..., 0], np.rint(stored / 257.0))


def test_sixteen_bit_colour_with_alpha(half_tone: np.ndarray) -> None:
    alpha = np.full(half_tone.shape[:2], 9, np.uint16)
    stored = np.dstack([half_tone[..., ::-1].astype(np.uint16) * 257, alpha])
    np.testing.assert_array_equal(decode_image(encode(".png", stored), "x"), half_tone)


# What a viewer does to the stored pixels, by the EXIF 2.3 table of tag 0x0112.
UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_jpeg_is_turned_upright(half_tone: np.ndarray, orientation: int) -> None:
    jpeg = encode(".jpg", half_tone[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 98)
    stored = decode_image(jpeg, "x")
    turned = decode_image(jpeg_with_exif(jpeg, exif_orientation(orientation)), "x")
    np.testing.assert_array_equal(turned, UPRIGHT[orientation](stored))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_png_is_turned_upright(half_tone: np.ndarray, orientation: int) -> None:
    height, width, _ = half_tone.shape
    rows = b"".join(b"\0" + row.tobytes() for row in half_tone)
    raw = png(width, height, 8, 2, rows, png_chunk(b"eXIf", exif_orientation(orientation)))
    np.testing.assert_array_equal(decode_image(raw, "x"), UPRIGHT[orientation](half_tone))


@pytest.mark.parametrize("orientation", [1, 6])
def test_gray_exif_jpeg_stays_gray(orientation: int) -> None:
    jpeg = encode(".jpg", np.tile(np.arange(0, 240, 10, dtype=np.uint8), (8, 1)))
    turned = decode_image(jpeg_with_exif(jpeg, exif_orientation(orientation)), "x")
    assert turned.shape == ((24, 8, 3) if orientation == 6 else (8, 24, 3))
    np.testing.assert_array_equal(turned[..., 0], turned[..., 2])


@pytest.mark.skipif(OPENCV_MAJOR < 5, reason="OpenCV reads EXIF in WebP from version 5 on")
def test_exif_webp_is_turned_upright(half_tone: np.ndarray) -> None:
    plain = encode(".webp", half_tone[..., ::-1], cv2.IMWRITE_WEBP_QUALITY, 101)
    image_chunk, exif = plain[12:], exif_orientation(6)
    size = struct.pack("<I", half_tone.shape[1] - 1)[:3] + struct.pack("<I", 15)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + size
    chunks = b"WEBP" + extended + image_chunk + b"EXIF" + struct.pack("<I", len(exif)) + exif
    raw = b"RIFF" + struct.pack("<I", len(chunks)) + chunks
    np.testing.assert_array_equal(decode_image(raw, "x"), np.rot90(half_tone, -1))


@pytest.mark.parametrize(
    ("suffix", "dtype"), [(".hdr", np.float32), (".tiff", np.float32), (".tiff", np.int32)]
)
def test_samples_of_unknown_range_are_refused(suffix: str, dtype: type) -> None:
    raw = encode(suffix, np.ones((4, 5, 3), dtype))
    with pytest.raises(ImageError, match=r"lamp: holds (float32|int32) samples.*convert"):
        decode_image(raw, "lamp")


@pytest.mark.parametrize("kept", [0.1, 0.6, 0.999])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_cut_off_files_are_refused(noise: np.ndarray, suffix: str, kept: float) -> None:
    raw = encode(suffix, noise)
    with pytest.raises(ImageError, match=r"^photo: .*(again|replace or remove)"):
        decode_image(raw[: int(len(raw) * kept)], "photo")


def test_cut_off_jpeg_is_refused_in_spite_of_a_whole_thumbnail(noise: np.ndarray) -> None:
    jpeg, thumbnail = encode(".jpg", noise), encode(".jpg", noise[:8, :8])
    with_thumbnail = jpeg_with_exif(jpeg, exif_orientation(1) + thumbnail)
    np.testing.assert_array_equal(decode_image(with_thumbnail, "x"), decode_image(jpeg, "x"))
    with pytest.raises(ImageError, match="without its end marker"):
        decode_image(with_thumbnail[:-2], "x")


def test_progressive_jpeg_with_bytes_after_its_end(noise: np.ndarray) -> None:
    jpeg = encode(".jpg", noise, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    decoded = decode_image(jpeg, "x")
    assert decoded.shape == noise.shape
    np.testing.assert_array_equal(decode_image(jpeg + b"trailer", "x"), decoded)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0", b"\xff\xd8", b"\xff\xd8\xff", b"not a picture at all", b"\x89PNG\r\n\x1a\n"],
    ids=["empty", "one byte", "SOI", "SOI and FF", "text", "PNG signature"],
)
def test_what_is_no_picture_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(ImageError, match=r"^some\.png: "):
        decode_image(raw, "some.png")


def test_a_picture_beyond_opencvs_limit_is_refused() -> None:
    with pytest.raises(ImageError, match="huge: its header asks for more"):
        decode_image(png(100_000, 100_000, 8, 2, b""), "huge")


@given(st.binary(max_size=200), st.sampled_from([".png", ".jpg", ".bmp", ".tiff", ".webp"]))
def test_damage_gives_a_picture_or_an_image_error(damage: bytes, suffix: str) -> None:
    raw = encode(suffix, np.full((8, 8, 3), 100, np.uint8))
    try:
        decoded = decode_image(raw[: len(raw) // 2] + damage, "x")
    except ImageError:
        return
    assert decoded.dtype == np.uint8
    assert decoded.shape[2] == 3


def test_opencv_keeps_its_log_off_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    with pytest.raises(ImageError, match=r"^x: "):
        decode_image(encode(".bmp", np.zeros((9, 9, 3), np.uint8))[:-5], "x")
    assert capfd.readouterr().err == ""
    assert log.getLogLevel() == level
