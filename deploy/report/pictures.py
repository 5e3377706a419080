"""Draw a few pictures with the models of a build and keep them as data URIs.

Pictures are stored without loss (WebP): a report about small differences must not add its own.
A 512x512 photograph takes 0.1 to 0.3 MB, so `PICTURES` of them from four models make a page of
3 to 5 MB.

A heatmap shows, for each block of 2x2 pixels, the largest difference of any channel of the 8-bit
pictures, in grey levels of 255, on one scale for the whole page. The detail is the square in
which the models of lowest parity differ most, enlarged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from calib.arrays import UInt8
from calib.dataset import PatchRef
from calib.errors import ImageError
from calib.images import Picture
from calib.sample import SAMPLE_PHOTOS
from deploy.artifacts.templates import data_uri

PICTURES = 3
DETAIL_PX = 64
POOL_PX = 2

_LOSSLESS = 101  # OpenCV: a WebP quality above 100 is lossless
_HEAT_STEPS = 64  # levels of a heatmap: as many as the eye tells apart, and it compresses well
_HEAT_COLOURS = cv2.COLORMAP_INFERNO
_LEAST_SCALE = 8


@dataclass(frozen=True)
class Drawing:
    """What one model drew.

    Attributes:
        label: of the model, such as ``int8 ort``.
        picture: uint8 [H, W, 3].
    """

    label: str
    picture: Picture


@dataclass(frozen=True)
class Scene:
    """One picture and what the models made of it.

    Attributes:
        name: of the patch.
        role: why it was chosen, such as ``worst of 6``.
        network_input: uint8 [H, W, 3].
        reference: what the float model drew.
        drawings: what the other models drew, lowest precision last.
    """

    name: str
    role: str
    network_input: Picture
    reference: Drawing
    drawings: tuple[Drawing, ...]

    @cached_property
    def differences(self) -> tuple[UInt8, ...]:
        """For each drawing uint8 [H, W]: the largest difference of any channel, in grey levels."""
        reference = self.reference.picture.astype(np.int16)
        return tuple(
            np.abs(drawing.picture.astype(np.int16) - reference).max(axis=2).astype(np.uint8)
            for drawing in self.drawings
        )

    @property
    def subject(self) -> str:
        """What the picture shows, in words."""
        photo = _sample_photo(self.name)
        return self.name if photo is None else photo[0]

    @property
    def title(self) -> str:
        """What the picture shows and which part of it, such as that no other picture's is equal."""
        subject = self.subject[:1].upper() + self.subject[1:]
        if self.subject == self.name:
            return self.name
        part = self.name.partition("@")[2]
        return f"{subject}, {f'crop at {part}' if part else 'whole'}"

    @property
    def credit(self) -> str:
        """Whom it is from, and under which licence."""
        photo = _sample_photo(self.name)
        return "" if photo is None else photo[1]

    @property
    def caption(self) -> str:
        """What else is known of it: its name where the title is another, its role, its credit."""
        name = "" if self.name == self.title else self.name
        return " · ".join(filter(None, (name, self.role, self.credit)))

    def detail(self) -> tuple[int, int]:
        """Return top and left of the square in which the last drawing differs most."""
        if not self.drawings:
            return 0, 0
        squared = np.square(self.differences[-1].astype(np.float32))
        height, width = squared.shape
        across, down = min(DETAIL_PX, width), min(DETAIL_PX, height)
        sums = cv2.boxFilter(squared, -1, (across, down), anchor=(0, 0), normalize=False)
        valid = sums[: height - down + 1, : width - across + 1]
        top, left = np.unravel_index(int(valid.argmax()), valid.shape)
        return int(top), int(left)


def choose(parity_db: Mapping[str, float], count: int = PICTURES) -> list[tuple[str, str]]:
    """Choose the pictures with the worst, the best and a middle parity.

    Args:
        parity_db: of the model of lowest precision, by picture.
        count: how many pictures at most.

    Returns:
        Names and the reason for each, worst first.

    >>> choose({"a": 40.0, "b": 30.0, "c": 35.0, "d": 50.0})
    [('b', 'lowest parity of 4'), ('a', 'in between'), ('d', 'highest parity of 4')]
    """
    ranked = sorted(parity_db, key=lambda name: (parity_db[name], name))
    places = sorted({round(place) for place in np.linspace(0, len(ranked) - 1, count)})
    roles = {
        0: f"lowest parity of {len(ranked)}",
        len(ranked) - 1: f"highest parity of {len(ranked)}",
    }
    if len(ranked) == 1:
        return [(ranked[0], "the only picture compared")]
    return [(ranked[place], roles.get(place, "in between")) for place in places]


def make_scenes(
    chosen: Sequence[tuple[PatchRef, str]], drawn: Mapping[str, Sequence[Picture]]
) -> tuple[Scene, ...]:
    """Put together what every model drew of each picture.

    Args:
        chosen: the pictures and why each was chosen.
        drawn: by label of the model a picture for each chosen one; the first is the reference.
    """
    scenes = []
    for number, (patch, role) in enumerate(chosen):
        drawings = [Drawing(label, pictures[number]) for label, pictures in drawn.items()]
        scenes.append(Scene(patch.name, role, patch.load(), drawings[0], tuple(drawings[1:])))
    return tuple(scenes)


def heat_scale(scenes: Sequence[Scene]) -> int:
    """Return the grey levels that the brightest colour of every heatmap stands for.

    One in a thousand pixels of the worst picture may lie beyond; the scale ends at a round number.
    """
    values = [np.percentile(levels, 99.9) for scene in scenes for levels in scene.differences]
    needed = max([*values, _LEAST_SCALE])
    steps = (8, 16, 24, 32, 48, 64, 96, 128, 192, 255)
    return next(step for step in steps if step >= min(needed, steps[-1]))


def heatmap(levels: UInt8, scale: int) -> Picture:
    """Colour the differences of one drawing.

    Args:
        levels: uint8 [H, W], in grey levels.
        scale: grey levels of the brightest colour.

    Returns:
        uint8 [H / 2, W / 2, 3] in RGB.
    """
    height, width = (side - side % POOL_PX for side in levels.shape)
    blocks = levels[:height, :width].reshape(height // POOL_PX, POOL_PX, width // POOL_PX, POOL_PX)
    pooled = np.minimum(blocks.max(axis=(1, 3)) / scale, 1.0)
    steps = np.rint(pooled * (_HEAT_STEPS - 1)) * (255 / (_HEAT_STEPS - 1))
    return _coloured(np.rint(steps).astype(np.uint8))


def heat_colours(count: int = 9) -> list[str]:
    """Return the colours of the heatmaps from no difference on, as CSS writes them."""
    ramp = np.rint(np.linspace(0, 255, count)).astype(np.uint8)[np.newaxis]
    return [f"rgb({r} {g} {b})" for r, g, b in _coloured(ramp)[0]]


def picture_uri(picture: Picture) -> str:
    """Return a picture, uint8 [H, W, 3] in RGB, as a data URI without loss.

    Raises:
        ImageError: this OpenCV cannot write WebP.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    written, encoded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS])
    if not written:
        raise ImageError("this OpenCV cannot write WebP; install opencv-python from its wheel")
    return data_uri(encoded.tobytes(), "image/webp")


def _coloured(codes: UInt8) -> Picture:
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(codes, _HEAT_COLOURS), cv2.COLOR_BGR2RGB))


def _sample_photo(name: str) -> tuple[str, str] | None:
    for photo in SAMPLE_PHOTOS:
        if name.partition("@")[0] == photo.file:
            return photo.subject, f"{photo.credit}, {photo.licence}"
    return None
