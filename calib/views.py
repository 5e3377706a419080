"""Cut the pixels of a patch out of a photograph: the whole of it resized, or a piece."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from calib.images import Picture, resize_area
from calib.tile import USUAL_SIZE, Size


class View(Protocol):
    """Which pixels of a photograph make the patch."""

    @property
    def suffix(self) -> str:
        """What tells this view from others of the same photograph in a patch's name."""
        ...

    def of(self, picture: Picture, size: Size = USUAL_SIZE) -> Picture:
        """Return the patch, uint8 [H, W, 3] of that size."""
        ...


@dataclass(frozen=True)
class WholeView:
    """The whole picture, reduced by area."""

    suffix: str = ""

    def of(self, picture: Picture, size: Size = USUAL_SIZE) -> Picture:
        """Return the patch, uint8 [H, W, 3] of that size."""
        return resize_area(picture, *size.sides)


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
        if self.reduction > 1:
            height, width, _ = picture.shape
            picture = resize_area(picture, height // self.reduction, width // self.reduction)
        bottom, right = self.top + size.height_px, self.left + size.width_px
        missing = [max(0, e - s) for e, s in zip((bottom, right), picture.shape, strict=False)]
        if any(missing):
            picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")
        return np.ascontiguousarray(picture[self.top : bottom, self.left : right])
