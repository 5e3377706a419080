"""Colours: a frame that is read and written again is the frame it was."""

import numpy as np
import pytest

from deploy.upscale.video.colour import Converter, colour_of

av = pytest.importorskip("av", reason="needs the extra video")

KINDS = [
    f"{layout}{bits}"
    for layout in ("yuv420p", "yuv422p", "yuv444p", "gray")
    for bits in ("", "10le")
]


def planes(frame: "av.VideoFrame") -> list[np.ndarray]:
    """Return the samples of each plane, [h, w], in the frame's own memory."""
    deep = max(part.bits for part in frame.format.components) > 8
    dtype = np.dtype("<u2") if deep else np.uint8
    return [
        np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


def smooth(kind: str, *, full: bool) -> "av.VideoFrame":
    """A frame whose luma is a gentle slope, its chroma even: colours that RGB holds."""
    frame = av.VideoFrame(64, 48, kind)
    unit = 4 if kind.endswith("10le") else 1
    for number, samples in enumerate(planes(frame)):
        ramp = np.linspace(100, 160, samples.shape[1]) if number == 0 else 120 + 8 * number
        samples[:] = ramp * unit
    frame.color_range = 2 if full else 1
    return frame


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_a_frame_comes_back_as_it_was(kind: str, matrix: int, full: bool) -> None:
    frame = smooth(kind, full=full)
    frame.colorspace = matrix
    colour = colour_of(frame)
    assert (colour.pixel_format, colour.full) == (kind, full)
    converter = Converter(colour)
    samples = converter.samples(frame)
    assert samples.shape == (48, 64, 1 if kind.startswith("gray") else 3)
    assert samples.dtype == (np.uint16 if kind.endswith("10le") else np.uint8)
    again = converter.frame(samples, (48, 64))
    assert again.format.name == kind
    for before, after in zip(planes(frame), planes(again), strict=True):
        assert np.abs(after.astype(int) - before).max() <= (1 if colour.bits == 8 else 2)


@pytest.mark.parametrize(
    ("matrix", "sides", "expected"),
    [(2, (480, 640), 6), (2, (720, 1280), 1), (2, (576, 720), 6), (9, (480, 640), 9)],
)
def test_a_matrix_that_is_not_stated_is_that_of_the_size(
    matrix: int, sides: tuple[int, int], expected: int
) -> None:
    height, width = sides
    frame = av.VideoFrame(width, height, "yuv420p")
    frame.colorspace = matrix
    assert colour_of(frame).matrix == expected


def test_limited_white_is_white() -> None:
    frame = smooth("yuv420p", full=False)
    for number, samples in enumerate(planes(frame)):
        samples[:] = 128 if number else 235
    frame.colorspace = 1
    assert (Converter(colour_of(frame)).samples(frame) == 255).all()
