"""Turn frames into samples that a network takes, and drawn samples back into such frames.

| of a clip         | of the frames read                   | of those written                    |
|-------------------|--------------------------------------|-------------------------------------|
| YUV 4:2:0, 4:2:2  | RGB, by the clip's matrix and range  | the same, chroma averaged (bicubic) |
| YUV, other chroma | RGB                                  | 4:4:4                               |
| RGB, palette      | RGB                                  | 4:4:4, matrix BT.709, limited range |
| gray              | gray, as stored                      | gray                                |
| 10 bits           | uint16 over its whole interval       | 10 bits                             |

Where a clip states no matrix, players take BT.709 for large pictures and BT.601 for small ones.
An enlarged clip would be taken for a large one: its matrix is stated.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from calib.arrays import AnyArray
from calib.errors import ImageError
from deploy.upscale.video.library import av

_HDR = {16: "PQ (SMPTE 2084)", 18: "HLG (ARIB STD-B67)"}
_UNSTATED, _BT709, _BT601, _RGB = 2, 1, 6, 0
_LIMITED, _FULL = 1, 2
# Matrix coefficients (ITU-T H.273, table 4): swscale's number of each that it computes.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
_LARGE_WIDTH, _LARGE_HEIGHT = 1280, 577
_CHROMA = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}


@dataclass(frozen=True)
class Colour:
    """What the samples of a clip mean.

    Attributes:
        layout: ``420``, ``422``, ``444`` or ``gray``.
        bits: of a sample, 8 or 10.
        matrix: from RGB to YUV; this and the next by their numbers in ITU-T H.273.
        primaries: what red, green and blue are.
        transfer: from light to samples.
        full: whether samples take the whole interval.
        rgb: whether the clip that is read holds RGB.
    """

    layout: str
    bits: int
    matrix: int
    primaries: int
    transfer: int
    full: bool
    rgb: bool = False

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the format that is written."""
        name = "gray" if self.layout == "gray" else f"yuv{self.layout}p"
        return name if self.bits == 8 else f"{name}10le"

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample that a network takes."""
        return 1 if self.bits == 8 else 2

    @property
    def channels(self) -> int:
        """Channels of the samples that a network takes."""
        return 1 if self.layout == "gray" else 3

    @property
    def range(self) -> int:
        """FFmpeg's number of the interval that samples take."""
        return _FULL if self.full else _LIMITED

    def even(self, side_px: int, axis: int) -> int:
        """Return a side, rounded up to whole samples of chroma: height for axis 0."""
        step = {"420": 2, "422": 1 + axis}.get(self.layout, 1)
        return -(-side_px // step) * step


def colour_of(frame: Any) -> Colour:
    """Return what the samples of a frame mean.

    Raises:
        ImageError: such frames are not enlarged: HDR, more than 10 bits, alpha, a matrix that
            swscale does not compute.
    """
    kind = frame.format
    bits = max(part.bits for part in kind.components)
    if frame.color_trc in _HDR:
        raise ImageError(
            f"is HDR, {_HDR[frame.color_trc]}; networks are made for SDR: map its tones first"
        )
    if any(part.is_alpha for part in kind.components) and not kind.has_palette:
        raise ImageError(f"has an alpha channel ({kind.name}); expected a clip without")
    if bits > 10 and not kind.has_palette:
        raise ImageError(f"has {bits} bits a sample ({kind.name}); expected 8 to 10: convert it")
    deep = 8 if bits <= 8 or kind.has_palette else 10
    tags = frame.color_primaries, frame.color_trc
    full = frame.color_range == _FULL or kind.name.startswith("yuvj")
    if kind.is_rgb or kind.has_palette:
        return Colour("444", deep, _BT709, *tags, full=False, rgb=True)
    if len(kind.components) == 1:
        return Colour("gray", deep, _UNSTATED, *tags, full=full)
    matrix = frame.colorspace
    if matrix == _UNSTATED:
        large = frame.width >= _LARGE_WIDTH or frame.height >= _LARGE_HEIGHT
        matrix = _BT709 if large else _BT601
    if matrix not in _MATRICES:
        raise ImageError(f"has matrix coefficients {matrix} (ITU-T H.273); expected BT.709 or so")
    chroma = 1 if kind.chroma_width(8) == 8 else 2, 1 if kind.chroma_height(8) == 8 else 2
    if kind.chroma_width(8) < 4 or kind.chroma_height(8) < 4:
        chroma = 1, 1
    return Colour(_CHROMA.get(chroma, "444"), deep, matrix, *tags, full=full)


class Converter:
    """Converts frames of one clip, and the samples drawn of them.

    Args:
        colour: of the clip.
    """

    def __init__(self, colour: Colour) -> None:
        kinds = av.video.reformatter.Interpolation
        self._colour = colour
        self._exact = kinds.ACCURATE_RND | kinds.BITEXACT | kinds.FULL_CHR_H_INT
        self._fit, self._resize = kinds.BICUBIC | self._exact, kinds.LANCZOS | self._exact
        self._reader, self._writer = (av.video.reformatter.VideoReformatter() for _ in range(2))

    def samples(self, frame: Any) -> AnyArray:
        """Return a frame as uint8 or uint16 [H, W, C], gray or RGB."""
        colour = self._colour
        deep = colour.bits > 8
        if colour.layout == "gray":
            stored = frame.to_ndarray()
            gray = stored.astype(np.uint16) << 6 | stored >> 4 if deep else stored
            return np.ascontiguousarray(gray)[:, :, np.newaxis]
        drawn = self._reader.reformat(
            frame,
            format="rgb48le" if deep else "rgb24",
            src_colorspace=None if colour.rgb else _MATRICES[colour.matrix],
            src_color_range=_FULL if colour.rgb else colour.range,
            dst_color_range=_FULL,
            interpolation=self._fit,
            threads=1,
        )
        return np.ascontiguousarray(drawn.to_ndarray())

    def frame(self, samples: AnyArray, size: tuple[int, int]) -> Any:
        """Return samples [H, W, C] as a frame of a height and a width, in the clip's colours."""
        colour = self._colour
        height, width = size
        if colour.layout == "gray":
            kind = "gray" if colour.bits == 8 else "gray16le"
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(samples[:, :, 0]), kind)
            ranges = {"src_color_range": colour.range, "dst_color_range": colour.range}
        else:
            planes = samples if samples.shape[2] == 3 else np.repeat(samples, 3, axis=2)
            kind = "rgb24" if colour.bits == 8 else "rgb48le"
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), kind)
            ranges = {"src_color_range": _FULL, "dst_color_range": colour.range}
            ranges["dst_colorspace"] = _MATRICES[colour.matrix]
        same = (made.height, made.width) == size
        return self._writer.reformat(
            made,
            width,
            height,
            colour.pixel_format,
            interpolation=self._fit if same else self._resize,
            threads=1,
            **ranges,
        )
