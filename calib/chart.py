"""Draw a test chart: what photographs rarely show, and users enlarge all the same.

Sixteen patches of 32x32 in a picture of 128x128: white, black, saturated colours, gradients, text,
line art, checkerboards and noise. All of it follows from integers and from numpy's generator of one
seed: the same bytes on every machine.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from calib.arrays import AnyArray
from calib.dataset import PatchRef
from calib.images import Picture
from calib.tile import USUAL_PX, Size
from calib.views import CropView

CHART_NAME = "test chart"
PATCH_PX = 32
_PER_ROW = USUAL_PX // PATCH_PX

_SEED = 0
_GLYPHS = {  # rows of five bits, from the top
    "A": (0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001),
    "E": (0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111),
    "R": (0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001),
    "S": (0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110),
    "T": (0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100),
}
_WORDS = ("TEA", "SET", "RAT")


@dataclass(frozen=True)
class ChartPatch:
    """Where one patch of the chart is.

    Attributes:
        name: what it shows.
        top: its first row, in pixels of the chart.
        left: its first column.
    """

    name: str
    top: int
    left: int


@dataclass(frozen=True)
class Chart:
    """The chart, as a photograph of 128x128."""

    name: str = CHART_NAME

    def read(self) -> Picture:
        """Return uint8 ``[128, 128, 3]`` in RGB."""
        chart = np.empty((USUAL_PX, USUAL_PX, 3), np.uint8)
        for patch, draw in zip(_places(), _DRAWN.values(), strict=True):
            rows = slice(patch.top, patch.top + PATCH_PX)
            chart[rows, patch.left : patch.left + PATCH_PX] = draw()
        return chart


def chart_picture(size: Size) -> PatchRef:
    """Return the chart as a picture of that size: its first pixels, or continued by reflection."""
    chart = Chart()
    found = PatchRef.describe(chart, CropView(0, 0), chart.read(), size)
    return PatchRef(CHART_NAME, found.sha256, chart, found.view, size)


def chart_patches(size: Size) -> Iterator[ChartPatch]:
    """Yield the patches that a picture of that size shows as a whole."""
    for patch in _places():
        if patch.top + PATCH_PX <= size.height_px and patch.left + PATCH_PX <= size.width_px:
            yield patch


def _places() -> Iterator[ChartPatch]:
    for number, name in enumerate(_DRAWN):
        row, column = divmod(number, _PER_ROW)
        yield ChartPatch(name, row * PATCH_PX, column * PATCH_PX)


def _flat(*colour: int) -> Callable[[], Picture]:
    return lambda: np.full((PATCH_PX, PATCH_PX, 3), colour, np.uint8)


def _rgb(levels: AnyArray) -> Picture:
    return np.asarray(levels, np.uint8)


def _gray(levels: AnyArray) -> Picture:
    return _rgb(np.repeat(levels[:, :, np.newaxis], 3, axis=2))


def _axes() -> tuple[AnyArray, AnyArray]:
    rows, columns = np.mgrid[0:PATCH_PX, 0:PATCH_PX]
    return rows, columns


def _gradient() -> Picture:
    rows, columns = _axes()
    return _gray((rows + columns) * 255 // (2 * PATCH_PX - 2))


def _hues() -> Picture:
    rows, columns = (axis * 255 // (PATCH_PX - 1) for axis in _axes())
    return _rgb(np.stack([columns, rows, 255 - (rows + columns) // 2], axis=-1))


def _checkerboard(side_px: int) -> Callable[[], Picture]:
    def draw() -> Picture:
        rows, columns = _axes()
        return _gray((rows // side_px + columns // side_px) % 2 * 255)

    return draw


def _noise(channels: int) -> Callable[[], Picture]:
    def draw() -> Picture:
        rng = np.random.default_rng([_SEED, channels])
        levels = rng.integers(0, 256, (PATCH_PX, PATCH_PX, channels), dtype=np.uint8)
        return _rgb(np.broadcast_to(levels, (PATCH_PX, PATCH_PX, 3)))

    return draw


def _text(ink: int, paper: int) -> Callable[[], Picture]:
    def draw() -> Picture:
        page = np.full((PATCH_PX, PATCH_PX), paper)
        for line, word in enumerate(_WORDS):
            for place, letter in enumerate(word):
                bits = np.array(_GLYPHS[letter])[:, np.newaxis] >> np.arange(4, -1, -1) & 1
                top, left = 2 + 10 * line, 4 + 9 * place
                page[top : top + 7, left : left + 5][bits == 1] = ink
        return _gray(page)

    return draw


def _line_art() -> Picture:
    """Draw two black circles and two crossing lines on white, about a pixel wide."""
    y, x = (2 * axis - PATCH_PX + 1 for axis in _axes())
    distance = x * x + y * y  # from the middle, squared, in half pixels
    rings = (np.abs(distance - 12**2) <= 24) | (np.abs(distance - 26**2) <= 52)
    return _gray(np.where(rings | (np.abs(x - 3 * y) <= 3) | (np.abs(3 * x + y) <= 3), 0, 255))


def _flat_colours() -> Picture:
    """Draw areas of strong colours with sharp borders, as in drawings."""
    rows, columns = _axes()
    colours = np.array([(255, 220, 0), (230, 0, 40), (0, 90, 255), (255, 255, 255), (0, 0, 0)])
    return _rgb(colours[(rows // 9 * 2 + columns // 7) % len(colours)])


_DRAWN: Mapping[str, Callable[[], Picture]] = {
    "white": _flat(255, 255, 255),
    "black": _flat(0, 0, 0),
    "red": _flat(255, 0, 0),
    "blue": _flat(0, 0, 255),
    "green": _flat(0, 255, 0),
    "yellow": _flat(255, 255, 0),
    "gradient": _gradient,
    "hues": _hues,
    "text": _text(0, 255),
    "inverted text": _text(255, 0),
    "line art": _line_art,
    "flat colours": _flat_colours,
    "checkerboard of 1 pixel": _checkerboard(1),
    "checkerboard of 4 pixels": _checkerboard(4),
    "noise": _noise(1),
    "coloured noise": _noise(3),
}
