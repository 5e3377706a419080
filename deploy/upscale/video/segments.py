"""Keep what is finished of an enlarged clip: segments of frames, each encoded by itself.

A segment begins with a keyframe and refers to no other, so it is the same whenever it is made: a
run that is killed and run again ends with the bytes of one that was not. It appears under its name
when it is whole (`calib.files.whole_file`). The folder names the job that it is of; what another
job left in it is removed.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from calib.errors import ImageError, UsageError
from calib.files import make_folder, whole_file, write_atomically
from deploy.upscale.video.clip import Clip, opened
from deploy.upscale.video.codecs import Encoding
from deploy.upscale.video.library import av, reason

SEGMENT_FRAMES = 24
_CONTAINER = "nut"  # its clock is at least as fine as a clip's; it shifts times below 0


@dataclass(frozen=True)
class Segments:
    """The segments of one enlarged clip.

    Attributes:
        folder: where they lie.
        frames: of the clip.
    """

    folder: Path
    frames: int

    @property
    def paths(self) -> list[Path]:
        """Paths of all segments, finished or not, in the order in which they are shown."""
        count = -(-self.frames // SEGMENT_FRAMES)
        return [self.folder / f"{number:06d}.{_CONTAINER}" for number in range(count)]

    @property
    def missing(self) -> list[int]:
        """Numbers of the segments that are still to be made."""
        return [number for number, path in enumerate(self.paths) if not path.exists()]

    @property
    def frames_missing(self) -> int:
        """How many frames are still to be drawn."""
        last = len(self.paths) - 1
        rest = self.frames - last * SEGMENT_FRAMES
        return sum(rest if number == last else SEGMENT_FRAMES for number in self.missing)

    def write(self, number: int, clip: Clip, encoding: Encoding, frames: Iterable[Any]) -> None:
        """Encode the frames of a segment, which lack their times, into its file.

        Raises:
            UsageError: it cannot be written.
            ImageError: there are fewer frames than the clip had.
        """
        path = self.paths[number]
        first = number * SEGMENT_FRAMES
        with whole_file(path) as part:
            try:
                with av.open(str(part), "w", _CONTAINER) as container:
                    stream = encoding.add_to(container, clip)
                    shown = clip.shown[first : first + SEGMENT_FRAMES].tolist()
                    encoded = 0
                    for frame, at in zip(frames, shown, strict=False):
                        frame.pts, frame.time_base = at - shown[0], clip.time_base
                        container.mux(stream.encode(frame))
                        encoded += 1
                    container.mux(stream.encode(None))
            except av.FFmpegError as error:
                raise UsageError(f"cannot write {path}: {reason(error)}") from error
            if encoded < len(shown):
                raise ImageError(f"{clip.path}: changed while it was enlarged; run it again")

    def packets(self) -> Iterator[tuple[int, Any]]:
        """Yield the packets of all segments in the order in which they are decoded.

        Yields:
            Number of the frame, in the order in which they are shown, and its packet; the times of
            the packet are of no clock.
        """
        for number, path in enumerate(self.paths):
            with opened(path) as container:
                packets = [packet for packet in container.demux(video=0) if packet.size]
            shown = sorted(packet.pts for packet in packets)
            for packet in packets:
                yield number * SEGMENT_FRAMES + shown.index(packet.pts), packet


@contextmanager
def segments_of(out: Path, job: str, frames: int) -> Iterator[Segments]:
    """Give the segments that an enlarged clip is made of; one run at a time has them.

    Args:
        out: the file that they are joined to.
        job: digest of all that their bytes depend on.
        frames: of the clip.

    Raises:
        UsageError: the folder cannot be written, or another run makes the same file.
    """
    folder = unfinished_folder(out)
    make_folder(folder)
    try:
        with FileLock(folder / "lock", timeout=0):
            name = folder / "job"
            if not name.exists() or name.read_text() != job:
                for path in folder.glob(f"*.{_CONTAINER}"):
                    path.unlink()
                write_atomically(name, job.encode())
            yield Segments(folder, frames)
    except Timeout:
        raise UsageError(f"another run enlarges into {out}; wait for it") from None


def unfinished_folder(out: Path) -> Path:
    """Return where what is finished of an enlarged clip lies until all of it is.

    >>> str(unfinished_folder(Path("out/clip.mkv")))
    'out/.clip.mkv.unfinished'
    """
    return out.with_name(f".{out.name}.unfinished")


def remove_segments(out: Path) -> None:
    """Remove them; the enlarged clip is there."""
    shutil.rmtree(unfinished_folder(out), ignore_errors=True)
