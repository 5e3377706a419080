"""Write ``.npy`` files, and read them trusting no header.

numpy takes the memory that a header asks for before it looks whether the values are there: 128
bytes can ask for 10^15. Here the values are counted first.
"""

import io
import math
import tokenize
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from calib.arrays import AnyArray
from calib.files import require_regular
from calib.zips import BROKEN_ZIP

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_BROKEN: tuple[type[Exception], ...] = (
    *BROKEN_ZIP,
    LookupError,
    MemoryError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
)
"""What numpy and zipfile raise for a file that is cut short, damaged, or something else."""

LARGEST_BYTES = 1 << 30
"""What the arrays of one archive may take together; those of the largest table take 0.1 GB."""


def write_npy(path: Path, array: AnyArray) -> None:
    """Write an array, its folder with it.

    Raises:
        OSError: it cannot be written; numpy itself does not say that a disk is full.
    """
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())


def parse_npy(content: bytes) -> AnyArray:
    """Return the array that a ``.npy`` file holds.

    Raises:
        ValueError: it is damaged, holds objects, or its header states more than it holds.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = _HEADERS[version]
        shape, _, dtype = read(stream)
    except _BROKEN as error:
        raise ValueError(f"has a header that cannot be read: {_first_line(error)}") from error
    held = len(content) - stream.tell()
    needed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never loaded")
    if min(shape, default=0) < 0 or not dtype.itemsize or needed > held:
        spelled = f"{list(shape)}"[:60]
        raise ValueError(f"states {dtype} {spelled} and holds {held} bytes")
    stream.seek(0)
    array: AnyArray = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def read_npz(source: Path | bytes) -> dict[str, bytes]:
    """Return the entries of a zip by name, unpacked.

    Args:
        source: the file, or its content.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no zip, is damaged, names an entry twice, or unpacks to too much.
    """
    if isinstance(source, Path):
        require_regular(source)
    try:
        with zipfile.ZipFile(source if isinstance(source, Path) else io.BytesIO(source)) as archive:
            entries = archive.infolist()
            _require_small(entries)
            return {entry.filename: archive.read(entry) for entry in entries}
    except _BROKEN as error:
        raise ValueError(f"is no whole zip: {_first_line(error)}") from error


def _require_small(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse what nobody writes before it is unpacked.

    Raises:
        ValueError: a name stands twice, or all of it would take too much.
    """
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError("it names an array twice")
    total = sum(entry.file_size for entry in entries)
    if total > LARGEST_BYTES:
        raise ValueError(f"it would unpack to {total} bytes, expected at most {LARGEST_BYTES}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def parse_arrays(entries: Mapping[str, bytes]) -> dict[str, AnyArray]:
    """Return the arrays of a zip's entries, by name without ``.npy``.

    Raises:
        ValueError: an entry holds no array; its name is in the message.
    """
    return {name.removesuffix(".npy"): _parse_entry(name, entries[name]) for name in entries}


def _parse_entry(name: str, content: bytes) -> AnyArray:
    try:
        return parse_npy(content)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
