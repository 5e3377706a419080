"""Enlarge a picture or a clip, or every one of a folder: read, run and write side by side."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from calib.ahead import ahead
from calib.colours import GRAY
from calib.errors import EsrdeployError, ImageError, UsageError, VerificationError
from calib.files import make_folder
from deploy.progress import Advance, Progress
from deploy.upscale.built_file import BuiltFile, find_file
from deploy.upscale.draw_picture import draw_picture, picture_inferences, read_for
from deploy.upscale.files import PicturePair, paired_files
from deploy.upscale.load import load_network, loader
from deploy.upscale.outcome import PictureResult, UpscaleOutcome
from deploy.upscale.request import UpscaleRequest
from deploy.upscale.sized_network import SizedNetwork

Results = dict[PicturePair, PictureResult]


def upscale_pictures(request: UpscaleRequest, progress: Progress) -> UpscaleOutcome:
    """Enlarge what is asked for; a folder goes on after a picture that fails.

    Raises:
        InputError: the request cannot be honoured, a file cannot be written, or the one picture
            cannot be read.
        VerificationError: the file is not the one that its manifest names.
    """
    request.require_sensible()
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


def _draw_all(
    request: UpscaleRequest,
    pairs: list[PicturePair],
    network: SizedNetwork,
    progress: Progress,
    file: BuiltFile,
) -> Results:
    """Draw the pictures one after the other, the next being read meanwhile, then the clips."""
    if network.channels == GRAY:
        progress.note(f"{file.manifest.model} draws gray: of a colour its luma (BT.601)")
    results: Results = {}
    steps: dict[PicturePair, int] = {}
    clips: dict[PicturePair, Callable[[Advance], None]] = {}
    for pair in pairs:
        with _told(pair, results, ImageError, UsageError):
            if pair.is_clip:
                steps[pair], clips[pair] = _clip(request, pair, file, network, progress)
            else:
                steps[pair] = picture_inferences(request, pair, network)
    if not steps:
        return results
    title = f"enlarging {_counted(steps)} with {file.artifact.path} in {file.backend}"
    with (
        progress.stage(title, sum(steps.values())) as advance,
        ThreadPoolExecutor(1) as pool,
    ):
        pictures = [pair for pair in steps if pair not in clips]
        read = ((pair, read_for(network, pair.source)) for pair in pictures)
        for pair, photograph in ahead(pool, read):
            with _told(pair, results, ImageError, VerificationError):
                if isinstance(photograph, ImageError):
                    raise photograph
                make_folder(pair.out.parent)
                draw_picture(request, pair, photograph, network, advance)
                results[pair] = PictureResult(pair, "drawn")
        for pair, draw in clips.items():
            with _told(pair, results, ImageError, VerificationError):
                draw(advance)
                results[pair] = PictureResult(pair, "drawn")
    return results


def _clip(
    request: UpscaleRequest,
    pair: PicturePair,
    file: BuiltFile,
    network: SizedNetwork,
    progress: Progress,
) -> tuple[int, Callable[[Advance], None]]:
    """Return how many inferences a clip takes, and what draws it.

    Raises:
        ImageError: it cannot be read, or is not enlarged.
        UsageError: PyAV is not installed, or the file to write does not hold the enlarged clip.
    """
    from deploy.upscale.video.draw import draw_clip  # noqa: PLC0415  # an extra
    from deploy.upscale.video.job import clip_job  # noqa: PLC0415

    job = clip_job(request, pair, file, network, progress)
    return job.inferences_left(network), lambda advance: draw_clip(job, network, advance)


@contextmanager
def _told(pair: PicturePair, results: Results, *kinds: type[EsrdeployError]) -> Iterator[None]:
    """Let errors of these kinds be the result of one picture; others end the run."""
    try:
        yield
    except kinds as error:
        reason = str(error)
        named = reason if str(pair.source) in reason else f"{pair.source}: {reason}"
        results[pair] = PictureResult(pair, "failed", named)


def _counted(pairs: Collection[PicturePair]) -> str:
    """Say how many pictures and clips there are.

    >>> from pathlib import Path
    >>> _counted([PicturePair(Path(name), Path("out")) for name in ("a.png", "b.png", "c.mp4")])
    '2 pictures and 1 clip'
    """
    clips = sum(pair.is_clip for pair in pairs)
    kinds = ((len(pairs) - clips, "picture"), (clips, "clip"))
    return " and ".join(
        f"{count} {name}{'' if count == 1 else 's'}" for count, name in kinds if count
    )
