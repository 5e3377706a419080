"""Clips as tests handle them: made of every kind, and taken apart."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.deploy.upscale.conftest import photo

av = pytest.importorskip("av", reason="needs the extra video")

RATE = 25
SIDES = 24, 40
WORDS = ((0, 200, b"First."), (240, 300, b"Second, longer."))
"""Subtitles: when they begin, how long they last, both in ms, and what they say."""


def moving(number: int, sides: tuple[int, int]) -> np.ndarray:
    """A piece of a photograph that moves every second frame, uint8 [H, W, 3]."""
    height, width = sides
    return photo(height, width + 40)[:, number // 2 % 40 :][:, :width]


def write_clip(
    path: Path,
    *,
    frames: int = 10,
    sides: tuple[int, int] = SIDES,
    kind: str = "yuv420p",
    codec: str = "libx264",
    shown: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, RATE),
    sound: bool = False,
    subtitles: bool = False,
    turned: int = 0,
    picture: Callable[[int, tuple[int, int]], np.ndarray] = moving,
    options: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """Write a clip, and return its path; ``context`` sets attributes of the encoder."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE, options=options or {})
        video.height, video.width, video.pix_fmt = *sides, kind
        video.time_base = video.codec_context.time_base = time_base
        for name, value in context.items():
            setattr(video.codec_context, name, value)
        if turned:
            video.set_display_rotation(turned)
        heard = container.add_stream("aac", rate=48000) if sound else None
        read = (
            container.add_mux_stream("subrip", time_base=Fraction(1, 1000)) if subtitles else None
        )
        container.start_encoding()
        for number in range(frames):
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(number, sides)), "rgb24")
            frame = made.reformat(format=kind)
            frame.pts, frame.time_base = number if shown is None else shown[number], time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if heard is not None:
            tone = np.sin(np.arange(frames * 48000 // RATE) * 0.05).astype(np.float32)
            for start in range(0, len(tone) - 1023, 1024):
                part = np.stack([tone[start : start + 1024]] * 2)
                samples = av.AudioFrame.from_ndarray(part, "fltp", "stereo")
                samples.sample_rate, samples.pts = 48000, start
                container.mux(heard.encode(samples))
            container.mux(heard.encode(None))
        if read is not None:
            for begins, lasts, words in WORDS:
                packet = av.Packet(words)
                packet.pts = packet.dts = begins
                packet.duration, packet.time_base = lasts, Fraction(1, 1000)
                packet.stream = read
                container.mux(packet)
    return path


def frames_of(path: Path) -> list[Any]:
    """Return the frames of a clip."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def packets_of(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """Return when each packet of the first stream of a kind is shown, in seconds, and its bytes."""
    with av.open(str(path)) as container:
        (stream, *_) = (item for item in container.streams if item.type == kind)
        return [
            (round(float(packet.pts * packet.time_base), 3), bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]
