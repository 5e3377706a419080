"""Pictures that lie are refused by name, whichever command looks at the folder they lie in."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.deploy.hostile.hostile import refusal, require

HUGE = 30_000
NOISE = np.random.default_rng(5).integers(0, 256, (40, 60, 3), dtype=np.uint8)
FOLDERS = {
    "build --calib": "build --model tiny --weights {weights} --calib {pictures} --out {folder}/out",
    "build --verify-images": (
        "build --model tiny --weights {weights} --verify-images {pictures} --out {folder}/out"
    ),
    "calibrate": "calibrate --model tiny --weights {weights} --calib {pictures} --out {folder}/out",
    "verify --images": "verify {build} --images {pictures}",
    "report --images": "report {build} --images {pictures}",
    "handoff --images": "handoff {build} --vendor vacc --images {pictures} --out {folder}/x.zip",
    "eval": "eval --data {pictures} --builds {builds} --out {folder}/out",
}


def encoded(suffix: str, picture: np.ndarray = NOISE) -> bytes:
    done, raw = cv2.imencode(suffix, picture)
    assert done
    return raw.tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, body: bytes = b"", depth: int = 8, colours: int = 2) -> bytes:
    """Return a PNG of that header, with whatever packed rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    rows = chunk(b"IDAT", body or zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """State another size in the frame header of a JPEG."""
    raw = encoded(".jpg")
    at = raw.index(b"\xff\xc0") + 5
    return raw[:at] + struct.pack(">HH", height, width) + raw[at + 4 :]


def bmp(width: int, height: int) -> bytes:
    raw = encoded(".bmp")
    return raw[:18] + struct.pack("<ii", width, height) + raw[26:]


def tiff(tag: int, value: int) -> bytes:
    """State another value for one tag of a TIFF."""
    raw = bytearray(encoded(".tiff"))
    first = struct.unpack_from("<I", raw, 4)[0]
    for entry in range(struct.unpack_from("<H", raw, first)[0]):
        at = first + 2 + 12 * entry
        if struct.unpack_from("<H", raw, at)[0] == tag:
            struct.pack_into("<HII", raw, at + 2, 4, 1, value)
            return bytes(raw)
    raise AssertionError(f"no tag {tag}")


def endless_tiff() -> bytes:
    """A TIFF whose directory is followed by itself, of a picture of no rows."""
    raw = bytearray(tiff(257, 0))
    first = struct.unpack_from("<I", raw, 4)[0]
    count = struct.unpack_from("<H", raw, first)[0]
    struct.pack_into("<I", raw, first + 2 + 12 * count, first)
    return bytes(raw)


def bad_checksum() -> bytes:
    raw = bytearray(encoded(".png"))
    raw[raw.index(b"IDAT") + 40] ^= 1
    return bytes(raw)


def webp(width: int, height: int) -> bytes:
    """State another size in the header of an extended WebP."""
    raw = encoded(".webp")
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    body = b"WEBP" + extended + raw[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


LIES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "0 bytes": ("x.png", lambda: b"", "empty"),
    "one byte": ("x.jpg", lambda: b"\xff", "do not decode"),
    "zeros": ("x.png", lambda: bytes(4096), "do not decode"),
    "a text": ("x.png", lambda: b"a picture of a cat", "do not decode"),
    "an SVG": ("x.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "do not decode"),
    "a zip": ("x.tiff", lambda: b"PK\x05\x06" + bytes(18), "do not decode"),
    "half a PNG": ("x.png", lambda: encoded(".png")[:2000], "do not decode"),
    "half a JPEG": ("x.jpg", lambda: encoded(".jpg")[:900], "end marker"),
    "half a WebP": ("x.webp", lambda: encoded(".webp")[:600], "do not decode"),
    "half a BMP": ("x.bmp", lambda: encoded(".bmp")[:2000], "do not decode|refuses"),
    "half a TIFF": ("x.tiff", lambda: encoded(".tiff")[:2000], "do not decode|refuses"),
    "a PNG of a wrong checksum": ("x.png", bad_checksum, "do not decode"),
    "a PNG of 30,000 x 30,000": ("x.png", lambda: png(HUGE, HUGE), "at most"),
    "a PNG of 2^31 - 1 columns": ("x.png", lambda: png((1 << 31) - 1, 1), "at most|do not decode"),
    "a PNG of 10^6 rows": ("x.png", lambda: png(1000, 1_000_000), "at most"),
    "a PNG of no columns": ("x.png", lambda: png(0, 10), "do not decode"),
    "a PNG of 3 bits": ("x.png", lambda: png(8, 8, depth=3), "do not decode"),
    "a PNG without rows": ("x.png", lambda: png(8, 8, zlib.compress(b"")), "do not decode"),
    "a PNG that does not unpack": ("x.png", lambda: png(8, 8, b"not packed"), "do not decode"),
    "a JPEG of 30,000 x 30,000": ("x.jpg", lambda: jpeg(HUGE, HUGE), "at most"),
    "a JPEG of no rows": ("x.jpg", lambda: jpeg(60, 0), "do not decode"),
    "a BMP of 30,000 x 30,000": ("x.bmp", lambda: bmp(HUGE, HUGE), "at most|do not decode"),
    "a BMP of 2^31 - 1 rows": ("x.bmp", lambda: bmp(60, (1 << 31) - 1), "at most"),
    "a BMP of no columns": ("x.bmp", lambda: bmp(0, 40), "do not decode|refuses"),
    "a TIFF of 30,000 columns": ("x.tiff", lambda: tiff(256, 1 << 30), "at most|do not decode|ref"),
    "a TIFF of 2^30 rows": ("x.tiff", lambda: tiff(257, 1 << 30), "at most|do not decode|refuses"),
    "a TIFF that goes on for ever": ("x.tiff", endless_tiff, "do not decode|refuses"),
    "a WebP of 16,384 x 16,384": ("x.webp", lambda: webp(1 << 14, 1 << 14), "at most|do not deco"),
    "a TIFF of floating point": (
        "x.tiff", lambda: encoded(".tiff", np.ones((8, 8, 3), np.float32)), "float32",
    ),
}  # fmt: skip


@pytest.fixture
def names(tiny_weights: Path, small_build: Path, tmp_path: Path) -> dict[str, object]:
    """Values of the names in the command lines; one picture lies in each folder that is read."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    return {
        "weights": tiny_weights,
        "build": small_build,
        "builds": small_build.parent,
        "pictures": pictures,
    }


@pytest.mark.parametrize(("file", "make", "says"), LIES.values(), ids=LIES)
def test_pictures(
    file: str, make: Callable[[], bytes], says: str, names: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "pictures" / file).write_bytes(make())
    refused = refusal(FOLDERS["build --calib"], tmp_path, names)
    require(refused, file=file, says=says, code=2)


@pytest.mark.parametrize("command", FOLDERS.values(), ids=FOLDERS)
def test_every_command_that_reads_pictures(
    command: str, names: dict[str, object], tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    for folder in ("DIV2K_valid_LR_bicubic/X4", "DIV2K_valid_HR") if "eval" in command else (".",):
        (pictures / folder).mkdir(parents=True, exist_ok=True)
        name = "0801x4.png" if "X4" in folder else "0801.png"
        (pictures / folder / name).write_bytes(png(HUGE, HUGE))
    require(refusal(command, tmp_path, names), file="0801", says="at most", code=2)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("absent.png")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [loop, dangling, folder], ids=lambda make: make.__name__)
def test_a_name_without_a_picture(
    make: Callable[[Path], None], names: dict[str, object], tmp_path: Path
) -> None:
    make(tmp_path / "pictures" / "x.png")
    refused = refusal(FOLDERS["build --calib"], tmp_path, names)
    require(refused, file="pictures", says="no image|cannot be read", code=2)


@pytest.mark.parametrize("command", FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_is_a_loop(command: str, names: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    refused = refusal(command, tmp_path, {**names, "pictures": tmp_path / "loop"})
    require(refused, file="loop", says="folder|no such|not there", code=2)
