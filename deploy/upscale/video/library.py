"""Open the door to PyAV, which brings FFmpeg's libraries."""

import os
from typing import Any

from calib.errors import UsageError
from calib.extras import install_command

os.environ.setdefault("SVT_LOG", "1")  # errors only: that encoder writes to stderr by itself

try:
    import av as found
except ImportError:
    found = None

av: Any = found
"""The library; ``None`` where it is not installed."""


def require_library() -> None:
    """Make sure that clips can be read.

    Raises:
        UsageError: PyAV is not installed.
    """
    if av is None:
        raise UsageError(
            "clips are read and written with PyAV, which is not installed; "
            f"run: {install_command('video')} (Python 3.11 or later)"
        )


def reason(error: Exception) -> str:
    """Return what FFmpeg has to say, without number and file.

    >>> reason(OSError(28, "No space left on device", "out.mkv"))
    'No space left on device'
    """
    said: str = getattr(error, "strerror", None) or str(error)
    return said
