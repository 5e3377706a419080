"""Claim the folder that a command writes to: files can be written there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calib.errors import UsageError


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Make a folder, prove that files can be written there, and give it.

    Whatever of it was made here and holds nothing in the end is removed again: what is refused
    leaves nothing behind.

    Raises:
        UsageError: the folder cannot be made, or not be written to.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write to the output folder {folder}: {error.strerror or error}; "
            "choose another with --out"
        ) from error
    try:
        yield folder
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
