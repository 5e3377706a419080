"""Record one question asked of one artifact, with its answer."""

from dataclasses import dataclass
from typing import Literal

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

    @classmethod
    def of(cls, passed: bool, name: str, artifact: str, detail: str) -> "Check":
        """Return a check that was made."""
        return cls(name, artifact, "passed" if passed else "failed", detail)

    @classmethod
    def skipped(cls, name: str, artifact: str, reason: str) -> "Check":
        """Return a check that could not be made."""
        return cls(name, artifact, "skipped", reason)
