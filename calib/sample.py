"""Make patches from the embedded sample photographs: calibration without any folder.

The pixels are photographs that ship inside the scikit-image wheel (``skimage/data``); nothing
is copied into this package and nothing is downloaded. They were chosen by eye for detail, faces
and texture; drawings, masks, test charts, scans of text, simulated images and photographs whose
licence scikit-image does not state (moon, motorcycle) stay out. Licences, as the docstrings of
``skimage.data`` give them, are in `SAMPLE_PHOTOS`.

Calibration (32 patches) and verification (8 patches) use different photographs. Patches are
pieces of the photograph as it is or reduced by area, and the whole photograph reduced to the size
of a patch. At 128x128 no two pieces of the same reduction overlap; at another size they begin at
the same pixels, and reflection continues a photograph that ends inside one.
"""

import importlib.resources
import itertools
from dataclasses import dataclass
from typing import Literal

from calib.dataset import PatchRef, PatchSet
from calib.errors import ImageSetError, UsageError
from calib.images import Picture, decode_image
from calib.tile import USUAL_SIZE, Size
from calib.views import CropView, View, WholeView

VERIFICATION_PICTURES = 6
"""How many embedded pictures a build is compared on: each costs an inference of every model."""


Split = Literal["calibration", "verification"]

_PUBLIC_DOMAIN = "public domain"
_CC0 = "CC0 1.0"
_UNRESTRICTED = "no known copyright restrictions"


@dataclass(frozen=True)
class PackagedPhoto:
    """A photograph inside the installed scikit-image package, by its file name there."""

    name: str

    def read(self) -> Picture:
        """Return uint8 [H, W, 3] in RGB.

        Raises:
            ImageSetError: this scikit-image does not ship the file.
        """
        try:
            raw = (importlib.resources.files("skimage") / "data" / self.name).read_bytes()
        except (ModuleNotFoundError, OSError) as error:
            raise ImageSetError(
                f"the installed scikit-image does not ship data/{self.name}, a photograph of the "
                "embedded sample; install scikit-image 0.24 to 0.26 from its wheel, or calibrate "
                "on a folder of your own"
            ) from error
        return decode_image(raw, f"skimage/data/{self.name}")


@dataclass(frozen=True)
class SamplePhoto:
    """One photograph of the embedded sample.

    Attributes:
        file: name in ``skimage/data``.
        subject: what it shows.
        credit: who made it or where it was found.
        licence: as the docstring in ``skimage.data`` states it.
        split: which of the two sets it belongs to.
        views: the patches it gives, most useful first.
    """

    file: str
    subject: str
    credit: str
    licence: str
    split: Split
    views: tuple[View, ...]


def _crops(*corners: tuple[int, int], reduction: int = 1) -> tuple[View, ...]:
    return tuple(CropView(top, left, reduction) for top, left in corners)


SAMPLE_PHOTOS: tuple[SamplePhoto, ...] = (
    SamplePhoto(
        file="astronaut.png",
        subject="portrait of Eileen Collins",
        credit="NASA Great Images database",
        licence=_PUBLIC_DOMAIN,
        split="calibration",
        views=(
            *_crops((0, 128)),
            WholeView(),
            *_crops((256, 256), (128, 128), (256, 128), (0, 0), (128, 384), (384, 256)),
            *_crops((128, 0), (0, 128), reduction=2),
        ),
    ),
    SamplePhoto(
        file="coffee.png",
        subject="espresso cup on a wooden table",
        credit="Rachel Michetti, courtesy of Pikolo Espresso Bar",
        licence=_CC0,
        split="calibration",
        views=(
            *_crops((256, 256), (0, 128), (256, 0), (128, 384), (0, 0)),
            WholeView(),
            *_crops((72, 100), reduction=2),
        ),
    ),
    SamplePhoto(
        file="camera.png",
        subject="cameraman on a lawn before a skyline",
        credit="Lav Varshney",
        licence=_CC0,
        split="calibration",
        views=(
            *_crops((128, 384)),
            WholeView(),
            *_crops((128, 128), (384, 256)),
            *_crops((0, 0), reduction=2),
        ),
    ),
    SamplePhoto(
        file="ihc.png",
        subject="stained tissue under the microscope",
        credit="Center for Microscopy And Molecular Imaging (CMMI)",
        licence=_UNRESTRICTED,
        split="calibration",
        views=(
            *_crops((0, 256)),
            *_crops((0, 0), (128, 128), reduction=2),
            *_crops((256, 384)),
        ),
    ),
    SamplePhoto(
        file="hubble_deep_field.jpg",
        subject="galaxies",
        credit="NASA, HubbleSite",
        licence=_PUBLIC_DOMAIN,
        split="calibration",
        views=(*_crops((128, 256), reduction=2), *_crops((0, 0), reduction=3)),
    ),
    SamplePhoto(
        file="retina.jpg",
        subject="human retina",
        credit="Mikael Häggström, Wikimedia Commons",
        licence=_CC0,
        split="calibration",
        views=(*_crops((128, 0), reduction=3), WholeView()),
    ),
    SamplePhoto(
        file="grass.png",
        subject="grass and clover",
        credit="linolafett, DeviantArt",
        licence=_CC0,
        split="calibration",
        views=_crops((0, 128)),
    ),
    SamplePhoto(
        file="gravel.png",
        subject="gravel",
        credit="CC0Textures",
        licence=_CC0,
        split="calibration",
        views=_crops((0, 0), reduction=2),
    ),
    SamplePhoto(
        file="chelsea.png",
        subject="tabby cat",
        credit="Stefan van der Walt",
        licence=_CC0,
        split="verification",
        views=(*_crops((0, 128)), WholeView(), *_crops((128, 256))),
    ),
    SamplePhoto(
        file="rocket.jpg",
        subject="rocket on its pad at dusk",
        credit="SpaceX Photos",
        licence=_PUBLIC_DOMAIN,
        split="verification",
        views=(*_crops((256, 0)), WholeView(), *_crops((128, 256))),
    ),
    SamplePhoto(
        file="coins.png",
        subject="Greek coins from Pompeii",
        credit="Brooklyn Museum Collection",
        licence=_UNRESTRICTED,
        split="verification",
        views=_crops((128, 128)),
    ),
    SamplePhoto(
        file="brick.png",
        subject="brick wall",
        credit="CC0Textures",
        licence=_CC0,
        split="verification",
        views=_crops((0, 128), reduction=2),
    ),
)


def sample_patches(split: Split, count: int | None = None, size: Size = USUAL_SIZE) -> PatchSet:
    """Return the embedded sample's patches of one split, one photograph after the other in turn.

    Args:
        split: ``calibration`` or ``verification``; no photograph is in both.
        count: how many; ``None`` or more than there are takes all (32 and 8).
        size: of every patch.

    Raises:
        UsageError: the split or the count cannot be honoured.
        ImageSetError: the installed scikit-image lacks a photograph.
    """
    if split not in ("calibration", "verification"):
        raise UsageError(f"sample split {split!r}; expected 'calibration' or 'verification'")
    if count is not None and count < 1:
        raise UsageError(f"{count} sample patches asked for; expected at least 1")
    turns: list[list[PatchRef]] = []
    for entry in SAMPLE_PHOTOS:
        if entry.split == split:
            photo = PackagedPhoto(entry.file)
            picture = photo.read()
            turns.append([PatchRef.describe(photo, view, picture, size) for view in entry.views])
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*turns))
    patches = tuple(patch for patch in dealt if patch is not None)
    return PatchSet("sample", "crop", 0, count, patches[:count], size)


def verification_pictures(size: Size = USUAL_SIZE) -> PatchSet:
    """Return the embedded photographs that builds are compared on; none is calibrated on."""
    return sample_patches("verification", VERIFICATION_PICTURES, size)
