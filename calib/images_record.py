"""Name what a calibration table keeps of the images it was made from: JSON values, no paths."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from calib.degradation.parameters import Degradation
from calib.digest import canonical_json, sha256_bytes
from calib.records import Count, Positive, Sha256
from calib.tile import Size
from calib.words import counted

Mode = Literal["whole", "crop", "both"]
Origin = Literal["sample", "folder"]

PIECE = re.compile(r"(?P<photo>.+)@(?P<top>\d+),(?P<left>\d+)(?:/(?P<reduction>\d+))?")
"""How a patch that is a piece of a photograph is named (`calib.views.CropView`)."""


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
        mode: how the patches were cut; the sample holds both kinds and says ``crop``, what is
            judged on says ``both``.
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
    >>> both = (PatchRecord("a.png@0,64", "0"), *one)
    >>> described(ImagesRecord("folder", "both", 0, 2, 2, Size(), "0" * 64, both))
    '2 pictures of 1 photograph of your own, 1 tile at its own size and 1 resized to 128x128 \
(a.png@0,64, a.png)'
    """
    plural = "" if images.count == 1 else "s"
    cut_from = photographs_cut(images)
    own = f"{cut_from} of your own" if cut_from else "your own"
    source = "the embedded sample" if images.origin == "sample" else own
    names = [patch.name for patch in images.patches[:_SHOWN_NAMES]]
    names += ["..."] if images.count > _SHOWN_NAMES else []
    degraded = "" if images.degradation is None else ", degraded"
    parts = f", {parts_of(images)}" if images.origin == "folder" else ""
    return f"{images.count} picture{plural} of {source}{degraded}{parts} ({', '.join(names)})"


def parts_of(images: ImagesRecord) -> str:
    """Return in words what photographs became: tiles at their own size, or all of them resized."""
    tiles = sum(is_tile(patch.name) for patch in images.patches)
    whole = images.count - tiles
    at_own = "1 tile at its own size" if tiles == 1 else f"{tiles} tiles at their own size"
    if not tiles:
        return f"resized to {images.size}"
    return f"{at_own} and {whole} resized to {images.size}" if whole else f"all {at_own}"


def photographs_cut(images: ImagesRecord) -> str:
    """Return in words how many photographs were cut up; empty where each is one picture."""
    count = photographs_in(images)
    if count == images.count:
        return ""
    return counted(count, "photograph")


def photographs_in(images: ImagesRecord) -> int:
    """Return how many photographs pictures are of: several may be pieces of one.

    >>> pieces = (PatchRecord("a.png@0,64", "0"), PatchRecord("a.png", "0"))
    >>> photographs_in(ImagesRecord("folder", "both", 0, 2, 2, Size(), "0" * 64, pieces))
    1
    """
    pieces = ((patch.name, PIECE.fullmatch(patch.name)) for patch in images.patches)
    return len({name if piece is None else piece["photo"] for name, piece in pieces})


def is_tile(name: str) -> bool:
    """Return whether a patch's name is of a piece of a photograph: ``PHOTOGRAPH@ROW,COLUMN``."""
    return PIECE.fullmatch(name) is not None
