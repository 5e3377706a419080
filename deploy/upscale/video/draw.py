"""Enlarge a clip: decode, draw and encode side by side, a segment at a time.

At most one frame waits between two of the three, so memory does not depend on a clip's length.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from calib.ahead import ahead
from calib.arrays import AnyArray
from calib.colours import GRAY
from deploy.progress import Advance
from deploy.upscale.enlarge import enlarge
from deploy.upscale.samples import in_gray
from deploy.upscale.sized_network import SizedNetwork
from deploy.upscale.video.colour import Converter
from deploy.upscale.video.job import ClipJob
from deploy.upscale.video.join import join
from deploy.upscale.video.segments import SEGMENT_FRAMES, Segments, remove_segments, segments_of


def draw_clip(job: ClipJob, network: SizedNetwork, advance: Advance) -> None:
    """Enlarge a clip into its file, from where a run before was stopped.

    Raises:
        ImageError: the clip cannot be read any more.
        UsageError: a file cannot be written.
        VerificationError: the network drew NaN or infinity.
    """
    clip = job.clip
    with segments_of(job.out, job.digest, len(clip.shown)) as segments:
        _draw_missing(job, segments, network, advance)
        join(clip, segments, job.out)
    remove_segments(job.out)


def _draw_missing(
    job: ClipJob, segments: Segments, network: SizedNetwork, advance: Advance
) -> None:
    missing = {*segments.missing}
    if not missing:
        return
    converter = Converter(job.clip.colour)
    frames = job.clip.frames()
    with ThreadPoolExecutor(2) as pool:
        for number in range(1 + max(missing)):
            part = islice(frames, SEGMENT_FRAMES)
            if number not in missing:
                for _ in part:
                    pass
                continue
            samples = ahead(pool, (converter.samples(frame) for frame in part))
            drawn = ahead(pool, _drawn(samples, job, network, advance))
            size = job.encoding.height, job.encoding.width
            segments.write(
                number, job.clip, job.encoding, (converter.frame(item, size) for item in drawn)
            )


def _drawn(
    frames: Iterator[AnyArray], job: ClipJob, network: SizedNetwork, advance: Advance
) -> Iterator[AnyArray]:
    """Yield enlarged frames [H*scale, W*scale, C]; one that is held is drawn once."""
    before: tuple[AnyArray, AnyArray] | None = None
    for samples in frames:
        if before is not None and np.array_equal(samples, before[0]):
            for _ in range(job.inferences_of_frame(network)):
                advance()
        else:
            taken = in_gray(samples) if network.channels == GRAY else samples
            before = samples, np.concatenate(list(enlarge(taken, network, advance)))
        yield before[1]
