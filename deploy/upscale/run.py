"""Enlarge a picture, or every picture of a folder: read, run and write side by side."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from calib.ahead import ahead
from calib.colours import GRAY
from calib.errors import ImageError, UsageError, VerificationError
from deploy.artifacts.precision import ModelPrecision
from deploy.progress import Advance, Progress
from deploy.runtime.backends import BackendName
from deploy.upscale.built_file import BuiltFile, find_file
from deploy.upscale.compare import write_comparison
from deploy.upscale.enlarge import enlarge, inferences
from deploy.upscale.files import PicturePair, paired_files
from deploy.upscale.formats import format_of, require_room
from deploy.upscale.load import load_network, loader
from deploy.upscale.memory import MEMORY_MB
from deploy.upscale.photograph import Photograph, read_extent, read_photograph
from deploy.upscale.samples import channels_drawn
from deploy.upscale.sized_network import SizedNetwork
from deploy.upscale.write_picture import Drawing, write_picture

MOST_SCALE = 16.0


@dataclass(frozen=True)
class UpscaleRequest:
    """What to enlarge, where to, and with what.

    Attributes:
        source: a picture or a folder.
        out: the file to write, or a folder.
        builds: folder of builds.
        model: name of a build; ``None``: the only one there is.
        precision: of the file; ``None``: int8 where there is one for a runtime here.
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
    """

    source: Path
    out: Path
    builds: Path = Path("dist")
    model: str | None = None
    precision: ModelPrecision | None = None
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


@dataclass(frozen=True)
class PictureResult:
    """What became of one picture.

    Attributes:
        pair: the picture and its enlargement.
        status: drawn now, there already, or failed.
        reason: why it failed; empty where it did not.
    """

    pair: PicturePair
    status: Literal["drawn", "there already", "failed"]
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        out = None if self.status == "failed" else str(self.pair.out)
        return {
            "source": str(self.pair.source),
            "out": out,
            "status": self.status,
            "reason": self.reason or None,
        }


@dataclass(frozen=True)
class UpscaleOutcome:
    """What became of all pictures.

    Attributes:
        results: one for each picture, by name.
        passed_over: files of the folder that are no pictures.
        file: what enlarged them.
    """

    results: tuple[PictureResult, ...]
    passed_over: tuple[Path, ...]
    file: BuiltFile = field(repr=False)

    def of(self, status: Literal["drawn", "there already", "failed"]) -> list[PictureResult]:
        """Return the results of that kind."""
        return [item for item in self.results if item.status == status]

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "model": self.file.manifest.model,
            "file": self.file.artifact.path,
            "backend": self.file.backend,
            "instead_of_int8": self.file.instead or None,
            "pictures": [item.record() for item in self.results],
            "passed_over": [str(path) for path in self.passed_over],
        }


def upscale_pictures(request: UpscaleRequest, progress: Progress) -> UpscaleOutcome:
    """Enlarge what is asked for; a folder goes on after a picture that fails.

    Raises:
        InputError: the request cannot be honoured, a file cannot be written, or the one picture
            cannot be read.
        VerificationError: the file is not the one that its manifest names.
    """
    _require_sensible(request)
    files = paired_files(
        request.source, request.out, recursive=request.recursive, suffix=request.suffix
    )
    if not request.source.is_dir() and not request.overwrite:
        for pair in files.pairs:
            if pair.out.exists():  # who made it, and of what, is not known
                raise UsageError(f"{pair.out} is there already; --overwrite draws it anew")
    file = find_file(request.builds, request.model, request.precision, request.backend)
    if file.instead:
        progress.note(file.instead)
    loader(file.backend, request.provider)  # refuses what is not installed before anything is read
    there = [] if request.overwrite else [pair for pair in files.pairs if pair.out.exists()]
    results = {pair: PictureResult(pair, "there already") for pair in there}
    to_draw = [pair for pair in files.pairs if pair not in results]
    if to_draw:
        network = load_network(
            file, request.provider, memory_mb=request.memory_mb, own_tiles=request.own_tiles
        )
        if network.kept_size and not request.own_tiles:
            progress.note(f"tiles of the size built for: {network.kept_size}")
        results |= _draw_all(request, to_draw, network, progress, file)
    if not request.source.is_dir():
        for item in results.values():
            if item.status == "failed":
                raise ImageError(item.reason)
    return UpscaleOutcome(tuple(results[pair] for pair in files.pairs), files.passed_over, file)


def _require_sensible(request: UpscaleRequest) -> None:
    if request.scale is not None and not 0 < request.scale <= MOST_SCALE:
        raise UsageError(f"found --scale {request.scale:g}; expected above 0, at most {MOST_SCALE}")
    if request.suffix is not None:
        format_of(Path(f"picture{request.suffix}"))


def _draw_all(
    request: UpscaleRequest,
    pairs: list[PicturePair],
    network: SizedNetwork,
    progress: Progress,
    file: BuiltFile,
) -> dict[PicturePair, PictureResult]:
    """Draw the pictures one after the other, the next being read meanwhile."""
    if network.channels == GRAY:
        progress.note(f"{file.manifest.model} draws gray: of a colour its luma (BT.601)")
    planned = {pair: _inferences(request, pair, network) for pair in pairs}
    steps = {pair: count for pair, count in planned.items() if isinstance(count, int)}
    results = {pair: item for pair, item in planned.items() if isinstance(item, PictureResult)}
    if not steps:
        return results
    counted = "1 picture" if len(steps) == 1 else f"{len(steps)} pictures"
    title = f"enlarging {counted} with {file.artifact.path} in {file.backend}"
    with (
        progress.stage(title, sum(steps.values())) as advance,
        ThreadPoolExecutor(1) as pool,
    ):
        for pair, found in ahead(pool, ((pair, _read(pair, network)) for pair in steps)):
            results[pair] = _draw(request, pair, found, network, advance)
    return results


def _inferences(
    request: UpscaleRequest, pair: PicturePair, network: SizedNetwork
) -> int | PictureResult:
    """Return how many inferences a picture takes, or why it is not enlarged."""
    try:
        extent = read_extent(pair.source)
        height, width = _target(extent.height, extent.width, request, network)
        require_room(pair.out, height, width, alpha=extent.channels in (2, 4))
    except (ImageError, UsageError) as error:
        return PictureResult(pair, "failed", str(error))
    shape = extent.height, extent.width, channels_drawn(extent.channels, network.channels)
    return inferences(shape, network, extent.sample_bytes)


def _read(pair: PicturePair, network: SizedNetwork) -> Photograph | ImageError:
    try:
        photograph = read_photograph(pair.source)
        return photograph.in_gray() if network.channels == GRAY else photograph
    except ImageError as error:
        return error


def _draw(
    request: UpscaleRequest,
    pair: PicturePair,
    photograph: Photograph | ImageError,
    network: SizedNetwork,
    advance: Advance,
) -> PictureResult:
    """Enlarge one picture into its file; what it cannot be written for ends the run.

    Raises:
        UsageError: the file cannot be written.
    """
    if isinstance(photograph, ImageError):
        return PictureResult(pair, "failed", str(photograph))
    samples = photograph.samples
    height, width, channels = samples.shape
    drawing = Drawing(
        height * network.scale,
        width * network.scale,
        channels,
        8 * samples.dtype.itemsize,
        enlarge(samples, network, advance),
    )
    size = _target(height, width, request, network)
    try:
        pair.out.parent.mkdir(parents=True, exist_ok=True)
        write_picture(pair.out, drawing, photograph, size, request.quality)
    except OSError as error:
        raise UsageError(f"cannot make {pair.out.parent}: {error.strerror or error}") from error
    except VerificationError as error:
        return PictureResult(pair, "failed", f"{pair.source}: {error}")
    if request.compare:
        write_comparison(pair.out, photograph)
    return PictureResult(pair, "drawn")


def _target(
    height: int, width: int, request: UpscaleRequest, network: SizedNetwork
) -> tuple[int, int]:
    """Return height and width of an enlarged picture, in pixels."""
    scale = network.scale if request.scale is None else request.scale
    return max(1, round(height * scale)), max(1, round(width * scale))
