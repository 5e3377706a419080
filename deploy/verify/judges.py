"""Choose the pictures that the models of a build are compared on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from calib.dataset import PatchSet, unseen_patches
from calib.errors import UsageError
from calib.images_record import ImagesRecord
from calib.native_tiles import judged_patches
from calib.photos import shuffled_photos
from calib.sample import verification_pictures
from calib.tile import Size
from deploy.artifacts.build_folder import Build
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.parity_record import VerifiedOn


@dataclass(frozen=True, eq=False)
class Judges:
    """Pictures to compare on.

    Attributes:
        choice: where they are from.
        patches: the pictures.
    """

    choice: Literal["sample", "held-back", "folder"]
    patches: PatchSet

    def unseen_by(self, build: Build) -> "Judges":
        """Return the same without those that a build was calibrated on: they would flatter it.

        Raises:
            UsageError: it was calibrated on all of them.
        """
        return self if build.table is None else self.unseen(build.table.images)

    def unseen(self, calibrated_on: ImagesRecord) -> "Judges":
        """Return the same without those pictures, at whichever size they were calibrated on.

        Raises:
            UsageError: none is left.
        """
        unseen = unseen_patches(self.patches.patches, calibrated_on)
        if not unseen:
            count = len({patch.photo.name for patch in self.patches.patches})
            raise UsageError(
                f"the build was calibrated on all {count} pictures it should be verified on; name "
                "others, or ask 'esrdeploy compare' about these"
            )
        return replace(self, patches=replace(self.patches, patches=unseen))

    def record(self) -> VerifiedOn:
        """Return what a manifest keeps of them."""
        return VerifiedOn(self.choice, self.patches.record())


def shown_instead(figures: VerifiedOn | None, shown: VerifiedOn) -> str:
    """Say that pictures are not those that recorded figures are of, and how to see those.

    Args:
        figures: what the figures of a build are of; ``None`` where it has none.
        shown: the pictures at hand.

    Returns:
        One line; empty where they are the same.
    """
    if figures is None or figures.images.digest == shown.images.digest:
        return ""
    if figures.choice == "sample":
        remedy = "without --images 'esrdeploy report' shows those"
    else:
        remedy = "'esrdeploy report --images DIR' shows those, where DIR is the folder they are in"
    return f"pictures are {shown}; the figures are of {figures}: {remedy}"


def sample_judges(size: Size) -> Judges:
    """Return the photographs of the embedded sample that nothing is calibrated on."""
    return Judges("sample", verification_pictures(size))


def folder_judges(folder: Path, size: Size) -> Judges:
    """Return every picture of a folder, at its own size too (`calib.native_tiles`).

    Args:
        folder: of pictures.
        size: of the tiles that a network takes.

    Raises:
        ImageSetError: the folder holds no images.
        ImageError: an image does not decode.
    """
    return Judges("folder", judged_patches(shuffled_photos(folder, 0), size=size))


def judges_of(manifest: Manifest, images: Path | None) -> Judges:
    """Return the pictures to compare a finished build on.

    Args:
        manifest: of the build.
        images: a folder; where it holds the user's pictures that the build was verified on, those
            are taken. ``None``: the embedded sample.

    Raises:
        ImageSetError: the folder holds no images.
        ImageError: an image does not decode.
    """
    size = manifest.network.tile.size
    if images is None:
        return sample_judges(size)
    before = manifest.verified_on
    found = () if before is None else before.found_in(images)
    if before is None or len(found) < before.images.count:
        return folder_judges(images, size)
    kept = before.images
    held = PatchSet(
        kept.origin, kept.mode, kept.seed, kept.requested, found, size, kept.degradation
    )
    return Judges(before.choice, held)
