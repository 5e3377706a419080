"""Record one question asked of one artifact, with its answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib.digest import sha256_file

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One question asked of one artifact.

    Attributes:
        name: what was asked.
        artifact: file it was asked of.
        status: passed, failed, or skipped.
        detail: what was found and, unless it passed, what was expected.
    """

    name: str
    artifact: str
    status: Status
    detail: str

    def record(self) -> dict[str, str]:
        """Return it as a JSON-able mapping, in the words of the report's table."""
        return {
            "check": self.name,
            "file": self.artifact,
            "status": self.status,
            "found": self.detail,
        }

    @classmethod
    def of(cls, passed: bool, name: str, artifact: str, detail: str) -> "Check":
        """Return a check that was made."""
        return cls(name, artifact, "passed" if passed else "failed", detail)

    @classmethod
    def skipped(cls, name: str, artifact: str, reason: str) -> "Check":
        """Return a check that could not be made."""
        return cls(name, artifact, "skipped", reason)


def check_digest(folder: Path, name: str, sha256: str, size_bytes: int) -> Check:
    """Ask whether a file is the one that a manifest names.

    Args:
        folder: where the manifest lies.
        name: path of the file in it, POSIX.
        sha256: digest that the manifest records.
        size_bytes: length that the manifest records.
    """
    path = folder / name
    try:
        found, found_bytes = sha256_file(path), path.stat().st_size
    except OSError as error:
        return Check.of(False, "file", name, f"cannot be read: {error.strerror or error}")
    if (found, found_bytes) == (sha256, size_bytes):
        return Check.of(True, "file", name, f"sha256 {found}")
    detail = (
        f"sha256 {found} of {found_bytes} bytes, the manifest records {sha256} of {size_bytes}: "
        "the file was changed after its manifest was written"
    )
    return Check.of(False, "file", name, detail)
