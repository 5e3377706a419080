"""Name what a calibration table keeps of the images it was made from: JSON values, no paths."""

from dataclasses import dataclass
from typing import Literal

from calib.records import Count, Positive, Sha256

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


@dataclass(frozen=True)
class ImagesSummary:
    """What identifies a set of patches, and how it was chosen.

    Attributes:
        origin: the embedded ``sample``, or a user's ``folder``.
        mode: how the patches were cut; the sample holds both kinds and says ``crop``.
        seed: what the choice was drawn with.
        requested: how many were asked for; ``None`` is all there are.
        count: how many there are.
        digest: sha256 over the mode and every patch's name and sha256, in order.
    """

    origin: Origin
    mode: Mode
    seed: Count
    requested: Positive | None
    count: Positive
    digest: Sha256


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
            self.origin, self.mode, self.seed, self.requested, self.count, self.digest
        )
