"""State what became of pictures that were to be enlarged."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deploy.upscale.built_file import BuiltFile
from deploy.upscale.files import PicturePair


@dataclass(frozen=True)
class PictureResult:
    """What became of one picture.

    Attributes:
        pair: the picture and its enlargement.
        status: drawn now, there already, or failed.
        reason: why it failed; empty where it did not.
    """

    pair: PicturePair
    status: Literal["drawn", "there already", "failed"]
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        out = None if self.status == "failed" else str(self.pair.out)
        return {
            "source": str(self.pair.source),
            "out": out,
            "status": self.status,
            "reason": self.reason or None,
        }


@dataclass(frozen=True)
class UpscaleOutcome:
    """What became of all pictures.

    Attributes:
        results: one for each picture, by name.
        passed_over: files of the folder that are no pictures.
        file: what enlarged them.
    """

    results: tuple[PictureResult, ...]
    passed_over: tuple[Path, ...]
    file: BuiltFile = field(repr=False)

    def of(self, status: Literal["drawn", "there already", "failed"]) -> list[PictureResult]:
        """Return the results of that kind."""
        return [item for item in self.results if item.status == status]

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "model": self.file.manifest.model,
            "file": self.file.artifact.path,
            "backend": self.file.backend,
            "instead_of_int8": self.file.instead or None,
            "pictures": [item.record() for item in self.results],
            "passed_over": [str(path) for path in self.passed_over],
        }
