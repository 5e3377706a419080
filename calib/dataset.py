"""Refer to patches of photographs: which pixels, and which sha256 they must have.

A `PatchRef` holds no pixels: it knows how to make its patch again and which sha256 the patch
must then have, so a list of 1,000 costs no more memory than its names, and a file that
changed in the meantime is noticed. `calib.choose_patches` says which patches a folder gives.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from calib.degradation.parameters import Degradation
from calib.digest import sha256_bytes
from calib.errors import ImageError
from calib.images import Picture
from calib.images_record import ImagesRecord, Mode, Origin, PatchRecord, images_digest
from calib.photos import Photo
from calib.tile import USUAL_SIZE, Size
from calib.views import PlainView, View, WholeView, degraded_view, seen_through


@dataclass(frozen=True)
class PatchRef:
    """One patch, by description.

    Attributes:
        name: the photograph's name and the view, unique within a set.
        sha256: digest of the patch's uint8 RGB bytes in row order.
        photo: where the pixels come from.
        view: which of them.
        size: of the patch.
    """

    name: str
    sha256: str
    photo: Photo
    view: View
    size: Size = USUAL_SIZE

    @classmethod
    def describe(
        cls, photo: Photo, view: View, picture: Picture, size: Size = USUAL_SIZE
    ) -> "PatchRef":
        """Make the reference to a view of ``photo``, whose pixels are ``picture``."""
        patch = view.of(picture, size)
        return cls(photo.name + view.suffix, sha256_bytes(patch.tobytes()), photo, view, size)

    def seen_as(
        self, size: Size, degradation: Degradation | None = None, seed: int = 0
    ) -> "PatchRef":
        """Return the reference to the same part of the photograph, at that size, so degraded."""
        view = degraded_view(self.view, degradation, seed)
        if (size, view) == (self.size, self.view):
            return self
        return PatchRef.describe(self.photo, view, self.photo.read(), size)

    def load(self) -> Picture:
        """Make the patch, uint8 [H, W, 3] in RGB, and check that it is the same as before.

        Raises:
            ImageError: the image cannot be read any more, or is not the same.
        """
        patch = self.view.of(self.photo.read(), self.size)
        found = sha256_bytes(patch.tobytes())
        if found != self.sha256:
            raise ImageError(
                f"{self.name}: not the patch that was listed: its pixels have sha256 {found}, "
                f"expected {self.sha256}; the file or the image decoder changed: start again"
            )
        return patch


@dataclass(frozen=True)
class PatchSet:
    """An ordered list of patches and how it was chosen.

    Attributes:
        origin: the embedded ``sample``, or a user's ``folder``.
        mode: how the patches were cut; the sample holds both kinds and says ``crop``.
        seed: what the choice was drawn with.
        requested: how many were asked for; ``None`` is all there are.
        patches: at least one reference; fewer than ``requested`` where there are no more.
        size: of every patch.
        degradation: what became of the photographs' pixels; ``None``: nothing.
    """

    origin: Origin
    mode: Mode
    seed: int
    requested: int | None
    patches: tuple[PatchRef, ...]
    size: Size = USUAL_SIZE
    degradation: Degradation | None = None

    def __len__(self) -> int:
        return len(self.patches)

    @cached_property
    def digest(self) -> str:
        """Sha256 over the mode and every patch's name and sha256, in order."""
        return images_digest(
            self.mode, (PatchRecord(patch.name, patch.sha256) for patch in self.patches)
        )

    def record(self) -> ImagesRecord:
        """Return what a calibration table keeps about its images."""
        return ImagesRecord(
            self.origin,
            self.mode,
            self.seed,
            self.requested,
            len(self.patches),
            self.size,
            self.digest,
            tuple(PatchRecord(patch.name, patch.sha256) for patch in self.patches),
            degradation=self.degradation,
        )


def unseen_patches(
    patches: Iterable[PatchRef], calibrated_on: ImagesRecord
) -> tuple[PatchRef, ...]:
    """Return the patches of photographs that were not calibrated on, at whatever size.

    A photograph of a folder was calibrated on where any part of it was: a recorded patch is a view
    of its pixels, under its file's name or, for the whole, any other. The part that a degraded
    patch was made of counts as the same. The sample's photographs are told apart by the patch.

    Raises:
        ImageError: a photograph cannot be read.
    """
    seen = {entry.sha256 for entry in calibrated_on.patches}
    how = calibrated_on.size, calibrated_on.degradation, calibrated_on.seed
    calibrated: dict[Photo, bool] = {}
    unseen = []
    for patch in patches:
        if calibrated_on.origin == "folder" and patch.photo not in calibrated:
            calibrated[patch.photo] = was_seen(patch.photo, calibrated_on)
        if not calibrated.get(patch.photo) and patch.seen_as(*how).sha256 not in seen:
            unseen.append(patch)
    return tuple(unseen)


def was_seen(photo: Photo, calibrated_on: ImagesRecord) -> bool:
    """Return whether any part of a photograph was calibrated on.

    Raises:
        ImageError: it cannot be read.
    """
    picture, file = photo.read(), PurePosixPath(photo.name).name
    digests: dict[PlainView, set[str]] = {}
    for entry in calibrated_on.patches:
        name, view = seen_through(entry.name)
        if isinstance(view, WholeView) or PurePosixPath(name).name == file:
            digests.setdefault(view, set()).add(entry.sha256)
    size, degradation, seed = calibrated_on.size, calibrated_on.degradation, calibrated_on.seed
    return any(
        PatchRef.describe(photo, degraded_view(view, degradation, seed), picture, size).sha256
        in found
        for view, found in digests.items()
    )
