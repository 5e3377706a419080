"""Join the segments of an enlarged clip with all else that the clip holds, packet by packet.

Sound, subtitles, cover pictures, fonts and chapters come along as they are. Frames are decoded in
another order than they are shown in; with n packets that are decoded before what is shown ahead of
them, packet i is due when frame i - n is shown, which always rises (the encoder of each segment
counts from its own beginning).
"""

import heapq
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from calib.errors import UsageError
from calib.files import whole_file
from deploy.upscale.video.clip import Clip, opened
from deploy.upscale.video.codecs import Encoding
from deploy.upscale.video.containers import container_of
from deploy.upscale.video.library import av, reason
from deploy.upscale.video.segments import Segments

_OPTIONS = {"fflags": "+bitexact"}  # no time, no random number in the file
_OF_THE_FILE_READ = frozenset(("encoder", "major_brand", "minor_version", "compatible_brands"))
_OF_A_PICTURE = ("language", "title")
_COPIED = frozenset(("audio", "subtitle"))


def require_joinable(clip: Clip, encoding: Encoding, out: Path) -> list[str]:
    """Make sure that a container holds an enlarged clip, and name what it leaves out.

    Args:
        clip: what is enlarged.
        encoding: of the enlarged frames.
        out: the file to be written.

    Returns:
        Kinds of the streams that are not copied.

    Raises:
        UsageError: it does not, or the frames cannot be encoded so.
    """
    with opened(clip.path) as source:
        try:
            trial = av.open(io.BytesIO(), "w", container_of(out), container_options=_OPTIONS)
            encoding.add_to(trial, clip)
            taken = _add_others(trial, source, clip, out)
            trial.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            raise UsageError(f"cannot write {out}: {reason(error)}") from error
        left = {stream.index: stream.type for stream in source.streams}
        return sorted(left[number] for number in left.keys() - {clip.stream, *taken})


def join(clip: Clip, segments: Segments, out: Path) -> None:
    """Write the enlarged clip.

    Args:
        clip: what was enlarged.
        segments: all of them finished.
        out: the file.

    Raises:
        UsageError: it cannot be written.
        ImageError: the clip cannot be read any more.
    """
    with opened(clip.path) as source, opened(segments.paths[0]) as first, whole_file(out) as part:
        try:
            with av.open(
                str(part), "w", container_of(out), container_options=_OPTIONS
            ) as container:
                video = _add_video(container, first.streams.video[0], clip, source)
                taken = _add_others(container, source, clip, out)
                container.metadata.update(_kept(source.metadata))
                container.set_chapters(source.chapters())
                drawn = ((packet, video) for packet in _due(segments, clip))
                others = (
                    (packet, taken[packet.stream_index])
                    for packet in source.demux()
                    if packet.dts is not None and packet.stream_index in taken
                )
                for packet, stream in heapq.merge(drawn, others, key=_time_s):
                    packet.stream = stream
                    container.mux_one(packet)
        except (av.FFmpegError, ValueError) as error:
            raise UsageError(f"cannot write {out}: {reason(error)}") from error


def _add_video(container: Any, segment: Any, clip: Clip, source: Any) -> Any:
    stream = container.add_stream_from_template(segment, opaque=True)
    stream.time_base = clip.time_base
    stream.codec_context.framerate = clip.rate
    like = source.streams[clip.stream]
    stream.disposition = like.disposition
    stream.metadata.update(
        {name: like.metadata[name] for name in _OF_A_PICTURE if name in like.metadata}
    )
    if clip.display_matrix is not None:
        stream.set_display_matrix(clip.display_matrix)
    return stream


def _add_others(container: Any, source: Any, clip: Clip, out: Path) -> dict[int, Any]:
    """Add a stream for each that is copied, and return them by their number in the clip.

    Raises:
        UsageError: the container does not hold one of them.
    """
    added = {}
    cover = av.stream.Disposition.attached_pic
    fonts = container.format.name == "matroska"
    for stream in source.streams:
        is_cover = stream.type == "video" and stream.disposition & cover
        is_font = stream.type == "attachment" and fonts
        if stream.index == clip.stream or not (stream.type in _COPIED or is_cover or is_font):
            continue
        try:
            copy = container.add_stream_from_template(stream, opaque=True)
        except ValueError as error:
            name = stream.codec_context.codec.canonical_name if stream.codec_context else "such"
            raise UsageError(
                f"{out}: {container.format.name} holds no {name}, in which the {stream.type} of "
                f"{clip.path} is; write another, such as .mkv, .mp4 or .mov"
            ) from error
        copy.metadata.update(_kept(stream.metadata))
        copy.disposition = stream.disposition
        added[stream.index] = copy
    return added


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name not in _OF_THE_FILE_READ}


def _due(segments: Segments, clip: Clip) -> Iterator[Any]:
    """Yield the packets of the segments with the times at which they are decoded."""
    shown = clip.shown.tolist()
    ahead = max(place - number for place, (number, _) in enumerate(segments.packets()))
    step = max(1, int(clip.lasts[0]))
    before = (shown[0] - step * (ahead - place) for place in range(ahead))
    due = chain(before, shown)
    for number, packet in segments.packets():
        packet.time_base = clip.time_base
        packet.pts, packet.dts, packet.duration = shown[number], next(due), int(clip.lasts[number])
        yield packet


def _time_s(found: tuple[Any, Any]) -> float:
    packet, _ = found
    return float(packet.dts * packet.time_base)
