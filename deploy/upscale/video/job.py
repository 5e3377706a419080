"""State what there is to do for one clip, and refuse what cannot be done before it is begun."""

from dataclasses import dataclass
from pathlib import Path

from calib.digest import canonical_json, sha256_bytes
from deploy.progress import Progress
from deploy.runtime.backends import backend_version
from deploy.upscale.built_file import BuiltFile
from deploy.upscale.enlarge import inferences
from deploy.upscale.files import PicturePair
from deploy.upscale.request import UpscaleRequest
from deploy.upscale.samples import channels_drawn
from deploy.upscale.sized_network import SizedNetwork
from deploy.upscale.video.clip import Clip, read_clip
from deploy.upscale.video.codecs import Encoding, encoding_for
from deploy.upscale.video.join import require_joinable
from deploy.upscale.video.library import av, require_library
from deploy.upscale.video.segments import SEGMENT_FRAMES, segments_of


@dataclass(frozen=True)
class ClipJob:
    """A clip that is to be enlarged, and how.

    Attributes:
        clip: what is enlarged.
        encoding: of what is drawn.
        out: the file to write.
        drawn_with: all else that what is drawn depends on: file, runtime, tiles.
    """

    clip: Clip
    encoding: Encoding
    out: Path
    drawn_with: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Digest of all that the bytes of the segments depend on."""
        encoding = self.encoding
        facts = {
            "clip": self.clip.sha256,
            "drawn_with": list(self.drawn_with),
            "encoder": [encoding.codec, encoding.options()],
            "frames": [encoding.height, encoding.width, SEGMENT_FRAMES],
            "versions": {name: list(parts) for name, parts in av.library_versions.items()},
        }
        return sha256_bytes(canonical_json(facts))

    def inferences_of_frame(self, network: SizedNetwork) -> int:
        """Return how many inferences a frame takes."""
        height, width, channels = self.clip.shape
        shape = height, width, channels_drawn(channels, network.channels)
        return inferences(shape, network, self.clip.colour.sample_bytes)

    def inferences_left(self, network: SizedNetwork) -> int:
        """Return how many inferences are still to be run."""
        with segments_of(self.out, self.digest, len(self.clip.shown)) as segments:
            return segments.frames_missing * self.inferences_of_frame(network)


def clip_job(
    request: UpscaleRequest,
    pair: PicturePair,
    file: BuiltFile,
    network: SizedNetwork,
    progress: Progress,
) -> ClipJob:
    """Return what there is to do for a clip.

    Args:
        request: how it is enlarged.
        pair: the clip and the file to write.
        file: what enlarges it.
        network: the same, loaded.
        progress: told what is read, and what does not come along.

    Raises:
        ImageError: the clip cannot be read, or is none that is enlarged.
        UsageError: PyAV is not installed, or the codec or the container does not take it.
    """
    require_library()
    progress.note(f"reading {pair.source} from end to end")
    clip = read_clip(pair.source)
    size = request.size_of(clip.height, clip.width, network.scale)
    encoding = encoding_for(clip, pair.out, size, request.codec, request.crf)
    left_out = require_joinable(clip, encoding, pair.out)
    if left_out:
        progress.note(f"{pair.out} gets no {' and no '.join(left_out)} streams of {pair.source}")
    drawn_with = (
        file.artifact.sha256,
        file.backend,
        backend_version(file.backend),
        str(request.provider),
        str(network.tile_for(clip.shape, clip.colour.sample_bytes)),
    )
    return ClipJob(clip, encoding, pair.out, drawn_with)
