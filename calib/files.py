"""Write files that appear under their name whole or not at all."""

from pathlib import Path

from calib.errors import UsageError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either there whole or not at all.

    Raises:
        UsageError: the file cannot be written (disk full, permission).
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
