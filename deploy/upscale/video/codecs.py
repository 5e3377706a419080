"""State the codecs that enlarged clips are written in, with settings that draw the same bytes.

What an encoder writes depends on how many threads it has, so their number is set here and not by
the machine. A segment (segments.py) is encoded by itself: looking further ahead than it lasts
would only take memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calib.errors import UsageError
from deploy.upscale.request import CodecName
from deploy.upscale.video.clip import Clip
from deploy.upscale.video.containers import container_of
from deploy.upscale.video.library import av


@dataclass(frozen=True)
class Codec:
    """A codec and its encoder.

    Attributes:
        encoder: FFmpeg's name.
        crf: the usual constant rate factor, lower is better; ``None``: the codec is lossless.
        most_crf: the largest there is.
        options: of the encoder.
    """

    encoder: str
    crf: int | None
    most_crf: int
    options: Mapping[str, str] = field(default_factory=dict)


CODECS: dict[CodecName, Codec] = {
    "h264": Codec(
        "libx264",
        18,
        51,
        {"preset": "medium", "threads": "4", "x264-params": "rc-lookahead=12:sync-lookahead=0"},
    ),
    "hevc": Codec(
        "libx265",
        20,
        51,
        {
            "preset": "medium",
            "x265-params": "log-level=none:frame-threads=2:rc-lookahead=12:open-gop=0",
        },
    ),
    "av1": Codec("libsvtav1", 24, 63, {"preset": "6", "svtav1-params": "lp=2"}),
    "ffv1": Codec("ffv1", None, 0, {"level": "3", "slices": "4", "slicecrc": "1", "threads": "4"}),
}


@dataclass(frozen=True)
class Encoding:
    """How an enlarged clip is encoded.

    Attributes:
        codec: the codec's name.
        crf: constant rate factor; ``None``: lossless.
        height: of a frame, in pixels.
        width: of a frame.
    """

    codec: CodecName
    crf: int | None
    height: int
    width: int

    def options(self) -> dict[str, str]:
        """Return the options of the encoder."""
        codec = CODECS[self.codec]
        rate = {} if self.crf is None else {"crf": str(self.crf)}
        return {**codec.options, **rate}

    def add_to(self, container: Any, clip: Clip) -> Any:
        """Add a stream that encodes frames of a clip to a container, and return it.

        Raises:
            UsageError: the codec does not take such frames, or the container not the codec.
        """
        encoder, kind = CODECS[self.codec].encoder, clip.colour.pixel_format
        taken = [item.name for item in av.Codec(encoder, "w").video_formats]
        if kind not in taken:
            raise UsageError(
                f"{clip.path}: {self.codec} takes no {kind} frames; choose another --codec, such "
                "as h264"
            )
        try:
            stream = container.add_stream(encoder, rate=clip.rate, options=self.options())
        except ValueError as error:
            raise UsageError(
                f"{container.format.name} holds no {self.codec}; write .mkv, or choose another "
                "--codec"
            ) from error
        context, colour = stream.codec_context, clip.colour
        stream.time_base = context.time_base = clip.time_base
        context.height, context.width, context.pix_fmt = self.height, self.width, kind
        context.sample_aspect_ratio = clip.sample_aspect
        context.color_range, context.colorspace = colour.range, colour.matrix
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        return stream


def encoding_for(
    clip: Clip, out: Path, size: tuple[int, int], codec: CodecName | None, crf: int | None
) -> Encoding:
    """Return how a clip is encoded.

    Args:
        clip: what is enlarged.
        out: of the file; its suffix names the container.
        size: height and width that are wished for; they are rounded up to whole samples of chroma.
        codec: its name; ``None``: AV1 in WebM, H.264 elsewhere.
        crf: constant rate factor; ``None``: the codec's usual.

    Raises:
        UsageError: the codec has no such rate factor.
    """
    name: CodecName = codec or ("av1" if container_of(out) == "webm" else "h264")
    chosen = CODECS[name]
    if crf is not None and (chosen.crf is None or crf > chosen.most_crf):
        expected = "none: it is lossless" if chosen.crf is None else f"at most {chosen.most_crf}"
        raise UsageError(f"found --crf {crf} for {name}; expected {expected}")
    height, width = (clip.colour.even(side, axis) for axis, side in enumerate(size))
    return Encoding(name, chosen.crf if crf is None else crf, height, width)
