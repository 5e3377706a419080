"""Name what a calibration table keeps of the images it was made from: JSON values, no paths."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from calib.degradation.parameters import Degradation
from calib.digest import canonical_json, sha256_bytes
from calib.records import Count, Positive, Sha256
from calib.tile import Size

Mode = Literal["whole", "crop"]
Origin = Literal["sample", "folder"]


@dataclass(frozen=True)
class PatchRecord:
    """One patch.

    Attributes:
        name: the photograph's name and the view, unique within a set.
        sha256: digest of the patch's uint8 RGB bytes in row order.
    """

    name: str
    sha256: Sha256


def images_digest(mode: Mode, patches: Iterable[PatchRecord]) -> str:
    """Return the sha256 over the mode and every patch's name and sha256, in order."""
    named = [[patch.name, patch.sha256] for patch in patches]
    return sha256_bytes(canonical_json({"mode": mode, "patches": named}))


@dataclass(frozen=True)
class ImagesSummary:
    """What identifies a set of patches, and how it was chosen.

    Attributes:
        origin: the embedded ``sample``, or a user's ``folder``.
        mode: how the patches were cut; the sample holds both kinds and says ``crop``.
        seed: what the choice was drawn with.
        requested: how many were asked for; ``None`` is all there are.
        count: how many there are.
        size: of every patch.
        digest: sha256 over the mode and every patch's name and sha256, in order.
        degradation: what became of the photographs' pixels; ``None``: nothing.
    """

    origin: Origin
    mode: Mode
    seed: Count
    requested: Positive | None
    count: Positive
    size: Size
    digest: Sha256
    degradation: Degradation | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class ImagesRecord(ImagesSummary):
    """A set of patches.

    Attributes:
        patches: in order.
    """

    patches: tuple[PatchRecord, ...]

    def __post_init__(self) -> None:
        """Refuse a count that is not that of the patches.

        Raises:
            ValueError: it is not.
        """
        if len(self.patches) != self.count:
            raise ValueError(f"lists {len(self.patches)} patches, its count is {self.count}")

    @property
    def summary(self) -> ImagesSummary:
        """The same without the list of patches."""
        return ImagesSummary(
            self.origin,
            self.mode,
            self.seed,
            self.requested,
            self.count,
            self.size,
            self.digest,
            degradation=self.degradation,
        )


_SHOWN_NAMES = 3


def described(images: ImagesRecord) -> str:
    """Return in words which pictures these are.

    >>> one = (PatchRecord("a.png", "0"),)
    >>> described(ImagesRecord("sample", "crop", 0, 1, 1, Size(), "0" * 64, one))
    '1 picture of the embedded sample (a.png)'
    """
    plural = "" if images.count == 1 else "s"
    source = "the embedded sample" if images.origin == "sample" else "your own"
    names = [patch.name for patch in images.patches[:_SHOWN_NAMES]]
    names += ["..."] if images.count > _SHOWN_NAMES else []
    degraded = "" if images.degradation is None else ", degraded"
    return (
        f"{images.count} picture{plural} of {source}{degraded}{_cut(images)} ({', '.join(names)})"
    )


def _cut(images: ImagesSummary) -> str:
    """Return how photographs of a user's became pictures; the sample is of both kinds."""
    if images.origin == "sample":
        return ""
    return f", resized to {images.size}" if images.mode == "whole" else f", pieces of {images.size}"


def resized_note(images: ImagesSummary) -> str:
    """Say what figures of resized photographs do not tell; nothing of others.

    A photograph reduced to the size of a tile is sharper than the same photograph at its own size,
    which is enlarged tile by tile.
    """
    if images.origin == "sample" or images.mode != "whole":
        return ""
    return (
        f"these figures are of whole photographs resized to {images.size}; at its own size, "
        "enlarged in tiles, a photograph may lie lower or higher: build with --mode crop "
        "to calibrate and judge on such tiles"
    )
