"""Judge by what a network draws of a photograph whether it is one that enlarges pictures in [0, 1].

A picture enlarged and reduced again is the picture. Which values a network takes is not said in its
file; which it draws that picture from is seen:

    likeness(r) = PSNR between the picture and r's inverse of what it draws from r(picture),
                  reduced by its scale

for r the identity, times 255, and 2 x - 1. Networks that were trained on another range draw from
[0, 1] something unlike. Networks without biases do not care.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calib.arrays import Float32
from calib.errors import GraphError
from deploy.runtime.runner import Runner
from quant.numerics.psnr import psnr_of

ALIKE_DB = 15.0
_UNLIKE_DB = 10.0
_CLEARLY_DB = 10.0
_MOST_SCALE = 8


@dataclass(frozen=True)
class ValueRange:
    """A range of values that networks are trained on.

    Attributes:
        name: as people write it.
        there: from [0, 1] into it.
        back: from it into [0, 1].
    """

    name: str
    there: Callable[[Float32], Float32]
    back: Callable[[Float32], Float32]


_RANGES = (
    ValueRange("[0, 255]", lambda x: x * np.float32(255), lambda y: y / np.float32(255)),
    ValueRange("[-1, 1]", lambda x: x * np.float32(2) - 1, lambda y: (y + 1) / np.float32(2)),
)


def scale_of(picture: Float32, drawn: Float32, source: str) -> int:
    """Return by how much a network enlarges.

    Args:
        picture: float32 ``[1,C,H,W]``.
        drawn: what it gives out for that.
        source: file name for messages.

    Raises:
        GraphError: by no whole number up to 8, or what it gives out is no picture, or has other
            channels.
    """
    channels, height, width = picture.shape[1:]
    shape = drawn.shape
    if len(shape) == 4 and shape[:2] == (1, channels):
        scale = shape[2] // height
        enlarged = (height * scale, width * scale)
        if 1 <= scale <= _MOST_SCALE and shape[2:] == enlarged:
            return int(scale)
    raise GraphError(
        f"{source} gives {list(shape)} for a picture of {list(picture.shape)}; expected "
        f"[1, {channels}, {height} * scale, {width} * scale] with a whole scale of 1 to "
        f"{_MOST_SCALE}: it is no super-resolution network"
    )


def judge_likeness(run: Runner, picture: Float32, source: str) -> tuple[str, ...]:
    """Refuse a network of another range of values, and tell of one that draws something else.

    Args:
        run: the network.
        picture: float32 ``[1,C,H,W]`` in [0,1], a photograph.
        source: file name for messages.

    Returns:
        Lines to tell the user.

    Raises:
        GraphError: it draws the picture from values of another range, and not from [0, 1].
    """
    found_db = _likeness_db(picture, run(picture))
    if found_db >= ALIKE_DB:
        return ()
    for other in _RANGES:
        other_db = _likeness_db(picture, other.back(run(other.there(picture))))
        if found_db < _UNLIKE_DB and other_db >= max(ALIKE_DB, found_db + _CLEARLY_DB):
            raise GraphError(
                f"{source} takes values in {other.name}: from them it draws the picture it is "
                f"given ({other_db:.1f} dB), from values in [0, 1] it does not ({found_db:.1f} "
                "dB); export it with the conversion from and to [0, 1] inside"
            )
    return tell_unlikeness(run, picture, source)


def tell_unlikeness(run: Runner, picture: Float32, source: str) -> tuple[str, ...]:
    """Tell of a network that draws something else than the picture it is given.

    Args:
        run: the network, known to take values in [0, 1].
        picture: float32 ``[1,3,H,W]`` in [0,1], a photograph.
        source: file name for messages.

    Returns:
        Lines to tell the user.
    """
    found_db = _likeness_db(picture, run(picture))
    if found_db >= ALIKE_DB:
        return ()
    return (
        f"{source} draws something unlike the photograph it is given ({found_db:.1f} dB when it "
        "is reduced again): is it a network that enlarges pictures in [0, 1]?",
    )


def _likeness_db(picture: Float32, drawn: Float32) -> float:
    _, channels, height, width = picture.shape
    scale = drawn.shape[2] // height
    blocks = drawn.reshape(1, channels, height, scale, width, scale)
    error = np.subtract(blocks.mean(axis=(3, 5)), picture, dtype=np.float64)
    return psnr_of(float(np.square(error).mean()))
