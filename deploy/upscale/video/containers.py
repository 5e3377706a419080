"""State which files are clips, and which containers enlarged ones are written to."""

from pathlib import Path

from calib.errors import UsageError

CONTAINERS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm"}
"""FFmpeg's names of the containers that are written, by suffix."""

CLIP_SUFFIXES = (
    *CONTAINERS, ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".wmv", ".flv", ".3gp",
    ".ogv",
)  # fmt: skip
"""Of the files that are read as clips, in lower case."""


def is_clip(path: Path) -> bool:
    """Tell by its suffix whether a file is a clip."""
    return path.suffix.lower() in CLIP_SUFFIXES


def written_suffix(path: Path) -> str:
    """Return the suffix for the enlargement of a clip in a folder.

    >>> written_suffix(Path("a.MP4")), written_suffix(Path("a.avi"))
    ('.MP4', '.mkv')
    """
    return path.suffix if path.suffix.lower() in CONTAINERS else ".mkv"


def container_of(path: Path) -> str:
    """Return FFmpeg's name of the container that a suffix names.

    Raises:
        UsageError: clips are not written to such files.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise UsageError(
            f"{path}: found the suffix {suffix or '(none)'}; expected one of {' '.join(CONTAINERS)}"
            " for an enlarged clip"
        )
    return CONTAINERS[suffix]
