"""State what to enlarge, where to, and with what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib.errors import UsageError
from deploy.artifacts.precision import ModelPrecision
from deploy.runtime.backends import BackendName
from deploy.upscale.formats import format_of
from deploy.upscale.memory import MEMORY_MB

CodecName = Literal["h264", "hevc", "av1", "ffv1"]
"""Codecs that clips are written in (video/codecs.py)."""

MOST_SCALE = 16.0


@dataclass(frozen=True)
class UpscaleRequest:
    """What to enlarge, where to, and with what.

    Attributes:
        source: a picture, a clip or a folder.
        out: the file to write, or a folder.
        builds: folder of builds.
        model: name of a build; ``None``: the only one there is.
        precision: of the file; ``None``: int8 where there is one for a runtime here.
        fast: take the network's full-integer build: quicker, and further from float.
        backend: the runtime; ``None``: the faster one that is installed.
        provider: of onnxruntime, such as ``cuda``; ``None``: the CPU.
        scale: output pixels per input pixel along one side; ``None``: the network's.
        suffix: of the files written; ``None``: that of each picture.
        recursive: look into subfolders.
        overwrite: draw again what is there already.
        compare: write a side-by-side with bicubic enlargement too.
        quality: of JPEG, WebP and AVIF.
        memory_mb: what the process may take, 10^6 bytes.
        own_tiles: keep to the size that the file is built for.
        codec: of clips; ``None``: AV1 in WebM, H.264 elsewhere.
        crf: constant rate factor of clips; ``None``: the codec's usual.
        workers: processes of this machine to deal pictures to; ``None``: this process alone.
        scheduler: address of a Dask scheduler whose workers get them instead.
    """

    source: Path
    out: Path
    builds: Path = Path("dist")
    model: str | None = None
    precision: ModelPrecision | None = None
    fast: bool = False
    backend: BackendName | None = None
    provider: str | None = None
    scale: float | None = None
    suffix: str | None = None
    recursive: bool = False
    overwrite: bool = False
    compare: bool = False
    quality: int = 95
    memory_mb: int = MEMORY_MB
    own_tiles: bool = False
    codec: CodecName | None = None
    crf: int | None = None
    workers: int | None = None
    scheduler: str | None = None

    def require_sensible(self) -> None:
        """Refuse what no picture can be drawn with.

        Raises:
            UsageError: the scale or the format is none, or what is asked for excludes itself.
        """
        if self.fast and self.precision not in {None, "int8"}:
            raise UsageError(
                f"found --fast and --precision {self.precision}; a full-integer file is int8: "
                "leave one of them out"
            )
        if self.scale is not None and not 0 < self.scale <= MOST_SCALE:
            raise UsageError(
                f"found --scale {self.scale:g}; expected above 0, at most {MOST_SCALE}"
            )
        if self.suffix is not None:
            format_of(Path(f"picture{self.suffix}"))

    def size_of(self, height: int, width: int, network_scale: int) -> tuple[int, int]:
        """Return height and width of an enlarged picture, in pixels.

        Args:
            height: of the picture.
            width: of the picture.
            network_scale: output pixels per input pixel along one side.
        """
        scale = network_scale if self.scale is None else self.scale
        return max(1, round(height * scale)), max(1, round(width * scale))
