"""Enlarge a picture or a clip, or every one of a folder: read, run and write side by side."""

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

from calib.ahead import ahead
from calib.colours import GRAY
from calib.errors import EsrdeployError, ImageError, UsageError, VerificationError
from calib.files import make_folder
from calib.words import counted
from deploy.progress import Advance, Progress
from deploy.upscale.built_file import BuiltFile, find_file
from deploy.upscale.draw_picture import draw_picture, picture_inferences, read_for
from deploy.upscale.fast_build import fast_build
from deploy.upscale.files import PicturePair, paired_files
from deploy.upscale.load import load_network, loader
from deploy.upscale.outcome import PictureResult, UpscaleOutcome
from deploy.upscale.request import UpscaleRequest
from deploy.upscale.sized_network import SizedNetwork

Results = dict[PicturePair, PictureResult]
DrawClip = Callable[[Advance], None]
Drawn = tuple[PicturePair, EsrdeployError | None]
"""A picture or a clip, and why it is not enlarged; ``None`` where it is."""


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
    file = _chosen_file(request)
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


def _chosen_file(request: UpscaleRequest) -> BuiltFile:
    if not request.fast:
        return find_file(request.builds, request.model, request.precision, request.backend)
    return find_file(fast_build(request.builds, request.model), None, "int8", request.backend)


def _draw_all(
    request: UpscaleRequest,
    pairs: list[PicturePair],
    network: SizedNetwork,
    progress: Progress,
    file: BuiltFile,
) -> Results:
    """Draw the pictures, then the clips; what cannot be written ends the run."""
    if network.channels == GRAY:
        progress.note(f"{file.manifest.model} draws gray: of a colour its luma (BT.601)")
    results: Results = {}
    steps: dict[PicturePair, int] = {}
    clips: dict[PicturePair, DrawClip] = {}
    for pair in pairs:
        planned = _planned(request, pair, file, network, progress)
        if isinstance(planned, EsrdeployError):
            results[pair] = _result(pair, planned)
            continue
        steps[pair], draw = planned
        if draw is not None:
            clips[pair] = draw
    if not steps:
        return results
    title = f"enlarging {_counted(steps)} with {file.artifact.path} in {file.backend}"
    with progress.stage(title, sum(steps.values())) as advance:
        of_pictures = {pair: count for pair, count in steps.items() if pair not in clips}
        for pair, failure in chain(
            _draw_pictures(request, of_pictures, network, file, advance),
            _draw_clips(clips, advance),
        ):
            results[pair] = _result(pair, failure)
    return results


def _draw_pictures(
    request: UpscaleRequest,
    steps: dict[PicturePair, int],
    network: SizedNetwork,
    file: BuiltFile,
    advance: Advance,
) -> Iterator[Drawn]:
    """Draw pictures, here or on workers; ``steps`` says how many inferences each takes."""
    if request.workers is None and request.scheduler is None:
        yield from _draw_here(request, steps, network, advance)
    elif steps:
        from deploy.upscale.cluster import draw_on_workers  # noqa: PLC0415  # an extra

        for pair, failure in draw_on_workers(request, list(steps), file):
            for _ in range(steps[pair]):
                advance()
            yield pair, failure


def _draw_here(
    request: UpscaleRequest, pairs: Iterable[PicturePair], network: SizedNetwork, advance: Advance
) -> Iterator[Drawn]:
    """Draw pictures one after the other, the next being read meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        for pair, photograph in ahead(
            pool, ((pair, read_for(network, pair.source)) for pair in pairs)
        ):
            if isinstance(photograph, ImageError):
                yield pair, photograph
                continue
            make_folder(pair.out.parent)
            try:
                draw_picture(request, pair, photograph, network, advance)
            except VerificationError as error:
                yield pair, error
            else:
                yield pair, None


def _draw_clips(clips: dict[PicturePair, DrawClip], advance: Advance) -> Iterator[Drawn]:
    for pair, draw in clips.items():
        yield pair, _failure(draw, advance)


def _failure(draw: DrawClip, advance: Advance) -> EsrdeployError | None:
    """Draw a clip, and return why it cannot be drawn."""
    try:
        draw(advance)
    except (ImageError, VerificationError) as error:
        return error
    return None


def _planned(
    request: UpscaleRequest,
    pair: PicturePair,
    file: BuiltFile,
    network: SizedNetwork,
    progress: Progress,
) -> tuple[int, DrawClip | None] | EsrdeployError:
    """Return how many inferences a picture or a clip takes, and what draws it if it is a clip.

    What cannot be read, or be written in the format that is wished for, is returned as an error.
    """
    try:
        if not pair.is_clip:
            return picture_inferences(request, pair, network), None
        from deploy.upscale.video.draw import draw_clip  # noqa: PLC0415  # an extra
        from deploy.upscale.video.job import clip_job  # noqa: PLC0415

        job = clip_job(request, pair, file, network, progress)
        return job.inferences_left(network), partial(draw_clip, job, network)
    except (ImageError, UsageError) as error:
        return error


def _result(pair: PicturePair, failure: EsrdeployError | None) -> PictureResult:
    if failure is None:
        return PictureResult(pair, "drawn")
    reason = str(failure)
    named = reason if str(pair.source) in reason else f"{pair.source}: {reason}"
    return PictureResult(pair, "failed", named)


def _counted(pairs: Collection[PicturePair]) -> str:
    """Say how many pictures and clips there are.

    >>> from pathlib import Path
    >>> _counted([PicturePair(Path(name), Path("out")) for name in ("a.png", "b.png", "c.mp4")])
    '2 pictures and 1 clip'
    """
    clips = sum(pair.is_clip for pair in pairs)
    kinds = ((len(pairs) - clips, "picture"), (clips, "clip"))
    return " and ".join(counted(count, name) for count, name in kinds if count)
