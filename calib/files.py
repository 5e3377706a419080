"""Write files that appear under their name whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calib.errors import UsageError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move it there when all of it is written.

    Whoever is killed while writing leaves the old file, and a part of the new one whose name is
    always the same, so that none pile up.

    Raises:
        UsageError: the file cannot be written (disk full, permission).
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either there whole or not at all.

    Raises:
        UsageError: the file cannot be written (disk full, permission).
    """
    with whole_file(path) as part:
        part.write_bytes(content)
