"""Make the pixels of a patch from a photograph: all of it resized or a piece, or these degraded."""

from dataclasses import dataclass

import numpy as np

from calib.degradation.degrade import degrade
from calib.degradation.parameters import Degradation
from calib.images import Picture, resize_area
from calib.images_record import PIECE
from calib.tile import USUAL_SIZE, Size


@dataclass(frozen=True)
class WholeView:
    """The whole picture, reduced by area."""

    suffix: str = ""

    def of(self, picture: Picture, size: Size = USUAL_SIZE) -> Picture:
        """Return the patch, uint8 [H, W, 3] of that size."""
        return self.cut(picture, *size.sides)

    def cut(self, picture: Picture, height: int, width: int) -> Picture:
        """Return uint8 [height, width, 3]."""
        return resize_area(picture, height, width)


@dataclass(frozen=True)
class CropView:
    """The pixels from row ``top`` and column ``left`` on, after reduction by area.

    Attributes:
        top: first row, in pixels of the reduced picture.
        left: first column, in pixels of the reduced picture.
        reduction: how many pixels of a side become one; 1 leaves the picture as it is.
    """

    top: int
    left: int
    reduction: int = 1

    @property
    def suffix(self) -> str:
        """``@top,left``, and ``/reduction`` where there is one."""
        scale = f"/{self.reduction}" if self.reduction > 1 else ""
        return f"@{self.top},{self.left}{scale}"

    def of(self, picture: Picture, size: Size = USUAL_SIZE) -> Picture:
        """Return the patch, uint8 [H, W, 3] of that size."""
        return self.cut(picture, *size.sides)

    def cut(self, picture: Picture, height: int, width: int) -> Picture:
        """Return uint8 [height, width, 3]."""
        if self.reduction > 1:
            rows, columns, _ = picture.shape
            picture = resize_area(picture, rows // self.reduction, columns // self.reduction)
        bottom, right = self.top + height, self.left + width
        missing = [max(0, e - s) for e, s in zip((bottom, right), picture.shape, strict=False)]
        if any(missing):
            picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")
        return np.ascontiguousarray(picture[self.top : bottom, self.left : right])


PlainView = WholeView | CropView


def seen_through(name: str) -> tuple[str, PlainView]:
    """Return the photograph and the view that a patch is named after.

    >>> seen_through("mine/cat.png"), seen_through("cat.png@0,128")[1].suffix
    (('mine/cat.png', WholeView(suffix='')), '@0,128')
    """
    found = PIECE.fullmatch(name)
    if found is None:
        return name, WholeView()
    top, left, reduction = (int(found[part] or 1) for part in ("top", "left", "reduction"))
    return found["photo"], CropView(top, left, reduction)


def is_larger(shape: tuple[int, ...], sides: tuple[int, int]) -> bool:
    """Return whether a picture [H, W, ...] has more rows or columns than a tile."""
    return shape[0] > sides[0] or shape[1] > sides[1]


@dataclass(frozen=True)
class DegradedView:
    """A view as the low-resolution picture that a network is trained to enlarge to it.

    Attributes:
        view: which pixels of the photograph, at the scale of the network's output.
        degradation: what becomes of them.
        seed: of what is drawn.
    """

    view: PlainView
    degradation: Degradation
    seed: int

    @property
    def suffix(self) -> str:
        """That of the view."""
        return self.view.suffix

    def of(self, picture: Picture, size: Size = USUAL_SIZE) -> Picture:
        """Return the patch, uint8 [H, W, 3] of that size."""
        height, width = (side * self.degradation.scale for side in size.sides)
        return degrade(self.view.cut(picture, height, width), self.degradation, self.seed)


View = PlainView | DegradedView
"""Which pixels of a photograph make the patch: ``suffix`` tells it from others of the same
photograph in a patch's name, ``of`` returns uint8 [H, W, 3] of a size."""


def degraded_view(view: View, degradation: Degradation | None, seed: int) -> View:
    """Return a view as that degradation shows it; ``None`` shows the photograph as it is."""
    plain = view.view if isinstance(view, DegradedView) else view
    return plain if degradation is None else DegradedView(plain, degradation, seed)
