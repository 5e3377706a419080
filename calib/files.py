"""Read files that end, and write files that appear under their name whole or not at all.

A name that somebody else chose may be that of a device or a pipe, which gives bytes for ever or
none: only regular files are read.
"""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calib.errors import UsageError


def require_regular(path: Path) -> None:
    """Refuse what is no regular file.

    Raises:
        OSError: it is a device, a pipe or a folder, or is not there.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "No regular file", str(path))


def read_whole(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read, or is a device or a pipe.
    """
    require_regular(path)
    return path.read_bytes()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move it there when all of it is on the disk.

    Whoever is killed while writing leaves the old file, and a part of the new one whose name is
    always the same, so that none pile up.

    Raises:
        UsageError: the file cannot be written (disk full, permission).
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        settle(part, path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def settle(part: Path, path: Path) -> None:
    """Give a file that is written its name, so that a power failure leaves it whole or not at all.

    Args:
        part: the file, whole, in the folder of ``path``.
        path: what it is to be called.

    Raises:
        OSError: it cannot be moved, or the disk refuses it.
    """
    _to_disk(part)
    part.replace(path)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where it is not there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {path}: {error.strerror or error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either there whole or not at all.

    Raises:
        UsageError: the file cannot be written (disk full, permission).
    """
    with whole_file(path) as part:
        part.write_bytes(content)


_TEMPORARY: set[str] = set()


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Give a folder that is removed afterwards, in whichever way the process ends but SIGKILL.

    Args:
        purpose: what its name says it is for.

    Raises:
        UsageError: it cannot be made or be written to (disk full).
    """
    try:
        name = tempfile.mkdtemp(prefix=f"esrdeploy-{purpose}-")
    except OSError as error:
        raise UsageError(f"cannot make a temporary folder: {error.strerror or error}") from error
    _TEMPORARY.add(name)
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
        _TEMPORARY.discard(name)


def remove_temporary_folders() -> None:
    """Remove the temporary folders in use; for whoever ends the process while they are."""
    for name in list(_TEMPORARY):
        shutil.rmtree(name, ignore_errors=True)
