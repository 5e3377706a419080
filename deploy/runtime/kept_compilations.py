"""Keep what a runtime compiled, so that the next process need not compile it again.

OpenVINO spends seconds on a large int8 network before it draws a pixel. Kept is what it exports,
under a name that follows from the model, the settings, the version and the processor. A damaged
file counts as none; the longest unused go when all together are too large.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np

from calib.archive import read_archive, write_archive
from calib.errors import EsrdeployError
from calib.user_cache import user_cache

MOST_BYTES = 500_000_000
"""What all kept compilations may take on disk."""

_ARRAY = "compiled"


def kept_folder() -> Path:
    """Return where this user's compilations are kept."""
    return user_cache("compiled")


def find_compiled(folder: Path, name: str) -> bytes | None:
    """Return what was kept under a name, if it is there whole; it counts as the newest then."""
    path = _path(folder, name)
    with suppress(EsrdeployError, KeyError, OSError):
        arrays, _ = read_archive(path)  # which holds its parts to their checksums
        path.touch()
        return arrays[_ARRAY].tobytes()
    return None


def keep_compiled(folder: Path, name: str, content: bytes, most_bytes: int = MOST_BYTES) -> None:
    """Keep a compilation; where nothing can be written, it is not kept.

    Args:
        folder: of all that are kept; made where it is missing.
        name: that says of what it is.
        content: what the runtime exports.
        most_bytes: beyond which the oldest are removed.
    """
    with suppress(EsrdeployError, OSError):
        folder.mkdir(parents=True, exist_ok=True)
        array = np.frombuffer(content, np.uint8)
        write_archive(_path(folder, name), {_ARRAY: array}, compress=False)
        files = [(file.stat(), file) for file in folder.glob("*.npz")]
        left = most_bytes
        for state, file in sorted(files, key=lambda item: item[0].st_mtime, reverse=True):
            left -= state.st_size
            if left < 0:
                file.unlink(missing_ok=True)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npz"
