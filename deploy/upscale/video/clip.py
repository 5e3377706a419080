"""Read a clip once from end to end: what it holds, when its frames are shown, and what is amiss.

Decoding takes a hundredth of what enlarging does. So frames are counted, and damage is found,
before hours are spent on what cannot be finished.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib.digest import sha256_file
from calib.errors import ImageError
from deploy.upscale.video.colour import Colour, colour_of
from deploy.upscale.video.library import av, reason

_USUAL_RATE = Fraction(25)
_INTERLACED = frozenset((2, 3, 4, 5))  # AVFieldOrder: which field comes first
_STATES_ITS_LENGTH = frozenset(("mov", "matroska", "avi", "flv"))
_SHORT_S = 1.0


@dataclass(frozen=True, eq=False)
class Clip:
    """What a clip holds.

    Attributes:
        path: of the file.
        sha256: of the file.
        stream: index of the stream that is enlarged: the first video that is no cover picture.
        height: of a frame as stored, in pixels.
        width: of a frame as stored.
        colour: what its samples mean.
        rate: frames per second, on average.
        time_base: seconds per unit of the next two.
        shown: int64 [frames], when each frame is shown, rising.
        lasts: int64 [frames], how long.
        sample_aspect: width of a pixel by its height.
        display_matrix: how a player turns frames, nine numbers; ``None``: not at all.
    """

    path: Path
    sha256: str
    stream: int
    height: int
    width: int
    colour: Colour
    rate: Fraction
    time_base: Fraction
    shown: NDArray[np.int64]
    lasts: NDArray[np.int64]
    sample_aspect: Fraction
    display_matrix: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the samples of a frame."""
        return self.height, self.width, self.colour.channels

    def frames(self) -> Iterator[Any]:
        """Yield the frames in the order in which they are shown.

        Raises:
            ImageError: the file is not the one that was read.
        """
        with opened(self.path) as container:
            yield from container.decode(container.streams[self.stream])


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a clip, and let what FFmpeg refuses name it.

    Raises:
        ImageError: it cannot be read, now or while it is open.
    """
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            for stream in container.streams.video:
                stream.thread_type = "AUTO"
            yield container
    except av.FFmpegError as error:
        raise ImageError(f"{path}: is no whole clip: {reason(error)}") from error


def read_clip(path: Path) -> Clip:
    """Read a clip from end to end.

    Raises:
        ImageError: it cannot be read, holds no video, is damaged or cut off, or what is not
            enlarged: HDR, more than 10 bits, alpha, interlaced frames, frames of several sizes.
    """
    with opened(path) as container:
        stream = _video_of(path, container)
        first: Any = None
        shown: list[int] = []
        lasts: list[int] = []
        ends_s = 0.0
        for packet in container.demux():
            if packet.is_corrupt:
                raise ImageError(f"{path}: is damaged at {_at(packet.dts, packet.time_base)}")
            if packet.pts is not None and packet.time_base:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                ends_s = max(ends_s, float(end))
            if packet.stream_index != stream.index:
                continue
            for frame in packet.decode():
                first = frame if first is None else first
                _require_like(path, frame, first)
                if frame.pts is None or (shown and frame.pts <= shown[-1]):
                    raise ImageError(
                        f"{path}: frame {len(shown)} has no time after the one before; write the "
                        "clip anew with another program first"
                    )
                shown.append(frame.pts)
                lasts.append(frame.duration or 0)
        if first is None:
            raise ImageError(f"{path}: its video stream holds no frame")
        _require_whole(path, container, ends_s)
        try:
            colour = colour_of(first)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error
        return Clip(
            path,
            sha256_file(path),
            stream.index,
            first.height,
            first.width,
            colour,
            stream.average_rate or stream.guessed_rate or _USUAL_RATE,
            stream.time_base,
            np.array(shown),
            _durations(shown, lasts),
            stream.sample_aspect_ratio or Fraction(1),
            _display_matrix(first),
        )


def _video_of(path: Path, container: Any) -> Any:
    cover = av.stream.Disposition.attached_pic
    found = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not found:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise ImageError(f"{path}: has no video stream, but {kinds}; expected a clip")
    if found[0].codec_context is None:
        raise ImageError(f"{path}: its video is of a codec that this FFmpeg does not decode")
    return found[0]


def _require_like(path: Path, frame: Any, first: Any) -> None:
    """Refuse a damaged frame, one of fields, and one unlike the first."""
    at = _at(frame.pts, frame.time_base)
    if frame.is_corrupt:
        raise ImageError(f"{path}: the frame at {at} is damaged; repair the clip first")
    if frame.interlaced_frame:
        raise ImageError(f"{path}: is interlaced at {at}; deinterlace it first")
    found, expected = (f"{item.height}x{item.width} {item.format.name}" for item in (frame, first))
    if found != expected:
        raise ImageError(f"{path}: changes from {expected} to {found} at {at}; cut it there first")


def _require_whole(path: Path, container: Any, ends_s: float) -> None:
    """Refuse a clip that ends before the time that its head states."""
    if container.duration is None or not _STATES_ITS_LENGTH & {*container.format.name.split(",")}:
        return
    stated_s = ((container.start_time or 0) + container.duration) / av.time_base
    if stated_s - ends_s > _SHORT_S:
        raise ImageError(
            f"{path}: is cut off: ends at {ends_s:.1f} s, its head says {stated_s:.1f} s"
        )


def _durations(shown: list[int], lasts: list[int]) -> NDArray[np.int64]:
    """Return how long each frame is shown: until the next one, the last as stated or as usual."""
    gaps = np.diff(np.array(shown, np.int64))
    usual = int(np.median(gaps)) if len(gaps) else 1
    return np.append(gaps, lasts[-1] or usual)


def _display_matrix(frame: Any) -> tuple[int, ...] | None:
    found = [item for item in frame.side_data if item.type.name == "DISPLAYMATRIX"]
    return tuple(np.frombuffer(found[0], "<i4").tolist()) if found else None


def _at(ticks: int | None, time_base: Fraction | None) -> str:
    return (
        "an unknown time" if ticks is None or not time_base else f"{float(ticks * time_base):.1f} s"
    )
