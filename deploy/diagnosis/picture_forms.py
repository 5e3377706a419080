"""List the wrong forms in which a right picture may come, each with what undoes it.

Three independent ways to be wrong, in the order in which they are undone:

    layout    how the values lie in memory: a flat buffer in, float32 [C, H, W] out
    order     which plane is which colour, of RGB: a permutation of the first axis
    values    what number stands for white: float32 [C, H, W] in and out

Every list begins with the right form, whose cause is empty and whose penalty is 0.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib.arrays import Float32
from calib.colours import GRAY, RGB


@dataclass(frozen=True)
class WrongForm:
    """One way to be wrong.

    Attributes:
        cause: its name; empty for the right form.
        advice: what to look at.
        undo: brings a picture in this form back to the right one.
        penalty: how many causes it counts as.
    """

    cause: str
    advice: str
    undo: Callable[[Float32], Float32]
    penalty: float


@dataclass(frozen=True)
class ChannelOrder:
    """One order of the colour planes.

    Attributes:
        cause: its name; empty for RGB.
        advice: what to look at.
        permutation: index that brings the planes back to RGB.
        penalty: how many causes it counts as.
    """

    cause: str
    advice: str
    permutation: list[int]
    penalty: float


def channel_orders(planes: int) -> list[ChannelOrder]:
    """Return the six orders of three planes, RGB first; the one order of a plane of gray."""
    if planes == GRAY:
        return [ChannelOrder("", "", [0], 0.0)]
    orders = []
    for permutation in itertools.permutations(range(RGB)):
        # Plane i of the reference is plane permutation[i] of the candidate.
        found = "".join("RGB"[permutation.index(plane)] for plane in range(RGB))
        if found == "RGB":
            orders.append(ChannelOrder("", "", [*permutation], 0.0))
            continue
        what = "swapped" if found == "BGR" else "permuted"
        orders.append(
            ChannelOrder(
                f"channels {what} ({found} for RGB)",
                "look at the colour order of what is fed in and of what is written out",
                [*permutation],
                1.0,
            )
        )
    return orders


def layouts(expected: tuple[int, ...], shape: tuple[int, ...]) -> list[WrongForm]:
    """Return the ways in which ``[C, H, W]`` may lie in a buffer, the right one first.

    Args:
        expected: ``(C, H, W)``.
        shape: the shape that the buffer came in; it decides what a layout is called.
    """
    channels, height, width = expected
    interleaved = (
        "layout HWC for CHW"
        if shape[-1:] == (channels,)
        else "interleaved pixels (HWC) under the shape of planes (CHW)"
    )
    exchanged = "height and width exchanged"
    memory: list[tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]] = [
        ((), (channels, height, width), (0, 1, 2)),
        ((interleaved,), (height, width, channels), (2, 0, 1)),
        ((exchanged,), (channels, width, height), (0, 2, 1)),
        ((interleaved, exchanged), (width, height, channels), (2, 1, 0)),
    ]
    turns: list[tuple[tuple[str, ...], tuple[int, ...]]] = [
        ((), ()),
        (("upside down",), (1,)),
        (("left and right mirrored",), (2,)),
        (("turned by 180 degrees",), (1, 2)),
    ]
    return [
        WrongForm(
            ", ".join((*stored, *turned)),
            "look at the shape and the order in which rows and pixels are read"
            * bool(stored + turned),
            _layout_undo(buffer_shape, axes, flipped),
            float(len(stored) + len(turned)),
        )
        for (stored, buffer_shape, axes), (turned, flipped) in itertools.product(memory, turns)
    ]


def _layout_undo(
    shape: tuple[int, ...], axes: tuple[int, ...], flipped: tuple[int, ...]
) -> Callable[[Float32], Float32]:
    def undo(buffer: Float32) -> Float32:
        return np.flip(buffer.reshape(shape).transpose(axes), flipped)

    return undo


def _affine(gain: Any, offset: Any) -> Callable[[Float32], Float32]:
    """Return ``x -> gain * x + offset``, per channel if they are lists."""
    factors = np.asarray(gain, np.float32).reshape(-1, 1, 1)
    terms = np.asarray(offset, np.float32).reshape(-1, 1, 1)

    def undo(picture: Float32) -> Float32:
        return picture * factors + terms

    return undo


_IMAGENET_MEAN, _IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

_IMAGENET = WrongForm(
    "ImageNet mean and standard deviation left in the values",
    "the network wants x / 255 alone: mean 0, standard deviation 1",
    _affine(_IMAGENET_STD, _IMAGENET_MEAN),
    1.0,
)
_VALUE_FORMS = (
    WrongForm("", "", lambda picture: picture, 0.0),
    WrongForm(
        "values in 0..255 for 0..1 (missing / 255)",
        "divide the picture by 255 once, before it is fed in or after it is read",
        _affine(1 / 255, 0.0),
        1.0,
    ),
    WrongForm(
        "values in 0..1/255 for 0..1 (divided by 255 once too often)",
        "divide the picture by 255 once only, or multiply the output by 255",
        _affine(255.0, 0.0),
        1.0,
    ),
    WrongForm(
        "values in -1..1 for 0..1", "the network takes and gives 0..1", _affine(0.5, 0.5), 1.0
    ),
    _IMAGENET,
    WrongForm(
        "limited range (16 to 235 of 255)",
        "a video format's range was left in the picture",
        _affine(255 / 219, -16 / 219),
        1.0,
    ),
    WrongForm("values inverted", "black and white are exchanged", _affine(-1.0, 1.0), 1.0),
    WrongForm(
        "8-bit values truncated instead of rounded",
        "add a half before the conversion to uint8",
        _affine(1.0, 0.5 / 255),
        1.0,
    ),
)


def value_forms(planes: int) -> list[WrongForm]:
    """Return what numbers may stand for white, the right one first; ImageNet's are of colours."""
    return [form for form in _VALUE_FORMS if planes == RGB or form is not _IMAGENET]


def affine_form(target: Float32, picture: Float32) -> WrongForm:
    """Return the gain and offset of least squared error, which have no name of their own."""
    seen, wanted = picture.astype(np.float64), np.clip(target, 0.0, 1.0).astype(np.float64)
    spread = float(np.square(seen - seen.mean()).mean())
    gain = float(((seen - seen.mean()) * (wanted - wanted.mean())).mean()) / spread if spread else 0
    offset = float(wanted.mean() - gain * seen.mean())
    return WrongForm(
        f"values need * {gain:.4g} {'-' if offset < 0 else '+'} {abs(offset):.4g}",
        "one gain and one offset bring the picture back: look at the output's scale and zero point",
        _affine(gain, offset),
        2.0,
    )
