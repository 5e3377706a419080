"""Measure the files of a build on this machine: latency, throughput, load time, memory, size.

All files run by turns in one process on the same piece of a photograph, the float one among them;
the ratio of two is the median over the rounds of one round's ratio, with the least and the most.
Peak memory is that of a process of its own that loads one file and runs it once. The figures are of
this machine and this minute: no artifact holds them.
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from calib.colours import RGB, Channels
from calib.files import temporary_folder, write_atomically
from calib.images import to_input
from calib.sample import verification_pictures
from calib.tile import Size
from deploy.artifacts.find_build import find_build
from deploy.artifacts.onnx_files import read_model
from deploy.artifacts.precision import ModelPrecision
from deploy.ncnn.from_onnx import ncnn_layers
from deploy.ncnn.write import bin_content, param_text
from deploy.network.known_models import how_to_build
from deploy.progress import Progress
from deploy.runtime.backends import BACKENDS, BackendName, is_installed, require_backends
from deploy.runtime.resized import resized_model, sides_of
from deploy.runtime.runner import Runner
from deploy.runtime.timing import Ratio, Timing, time_by_turns
from deploy.upscale.built_file import BuiltFile, runnable_files
from deploy.upscale.load import loader
from quant.passes.forms.form import in_usual_form
from quant.passes.rebatch import with_batch

_NCNN_THREADS = 2


@dataclass(frozen=True)
class Candidate:
    """One file in one runtime, at one size, on so many threads.

    Attributes:
        path: of the ONNX file.
        precision: of it.
        backend: the runtime; ``ncnn`` runs the float file, translated.
        scale: output pixels per input pixel along one side.
        tile: size of the input.
        threads: of the runtime; ``None`` takes every core.
        channels: of its pictures.
    """

    path: Path
    precision: ModelPrecision
    backend: BackendName | Literal["ncnn"]
    scale: int
    tile: Size
    threads: int | None
    channels: Channels = RGB

    def load(self) -> Runner:
        """Load the file.

        Raises:
            GraphError: the runtime refuses it, or it works at another size only.
            UsageError: an ncnn pair cannot be written to a temporary folder.
        """
        model = with_batch(read_model(self.path), 1)
        if self.backend == "ncnn":
            model = in_usual_form(model)
        if sides_of(model) != self.tile.sides:
            model = resized_model(model, *self.tile.sides, self.scale)
        if self.backend != "ncnn":
            return loader(self.backend, threads=self.threads)(model)
        from deploy.runtime.ncnn import ncnn_runner  # noqa: PLC0415  # an extra

        layers = ncnn_layers(model)
        with temporary_folder("ncnn") as folder:
            param = folder / "model.param"
            write_atomically(param, param_text(layers).encode("utf-8"))
            write_atomically(param.with_suffix(".bin"), bin_content(layers))
            return ncnn_runner(param)


@dataclass(frozen=True)
class BenchRow:
    """What was measured of a candidate.

    Attributes:
        candidate: what was measured.
        timing: of its inferences.
        load_s: seconds to read and load it.
        peak_mb: peak memory of a process that loads and runs it once, 10^6 bytes; ``None`` where
            the system does not tell.
        size_bytes: of the file.
        times_as_fast: the float file's time per its own, same runtime, size and threads; ``None``
            where there is none.
    """

    candidate: Candidate
    timing: Timing
    load_s: float
    peak_mb: float | None
    size_bytes: int
    times_as_fast: Ratio | None

    @property
    def output_mp_per_s(self) -> float:
        """Enlarged megapixels per second, overlap of tiles not counted."""
        height, width = self.candidate.tile.sides
        return height * width * self.candidate.scale**2 / 1e6 / self.timing.median

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        ratio = self.times_as_fast
        return {
            "file": self.candidate.path.name,
            "precision": self.candidate.precision,
            "runtime": self.candidate.backend,
            "threads": self.candidate.threads,
            "tile": str(self.candidate.tile),
            "median_ms": 1000 * self.timing.median,
            "p95_ms": 1000 * self.timing.p95,
            "output_mp_s": self.output_mp_per_s,
            "load_ms": 1000 * self.load_s,
            "peak_bytes": None if self.peak_mb is None else round(1e6 * self.peak_mb),
            "size_bytes": self.size_bytes,
            "times_as_fast_as_float": ratio and ratio.median,
            "times_as_fast_as_float_between": ratio and [ratio.least, ratio.most],
        }


@dataclass(frozen=True)
class BenchRequest:
    """What to measure.

    Attributes:
        builds: folder of builds, or a build.
        model: name of a build; ``None``: the only one there is.
        backends: runtimes; empty for all that are installed, ncnn included.
        tiles: sizes of the input; empty for that of the build.
        threads: numbers of threads; empty for every core.
        rounds: how many times each is timed.
    """

    builds: Path = Path("dist")
    model: str | None = None
    backends: tuple[BackendName, ...] = ()
    tiles: tuple[Size, ...] = ()
    threads: tuple[int, ...] = ()
    rounds: int = 5


def measure(request: BenchRequest, progress: Progress) -> tuple[BenchRow, ...]:
    """Measure every file of a build that a runtime here computes as it is meant.

    Raises:
        InputError: there is no such build, or a file does not load at a size asked for.
        VerificationError: a file is not the one that the manifest names.
    """
    require_backends(request.backends)
    candidates = tuple(_candidates(request))
    names = [str(number) for number in range(len(candidates))]
    with progress.stage("peak memory, a process each", len(candidates)) as advance:
        peaks = []
        for candidate in candidates:
            peaks.append(_peak_mb(candidate))
            advance()
    runs, load_s = {}, []
    with progress.stage("loading", len(candidates)) as advance:
        for name, candidate in zip(names, candidates, strict=True):
            started = time.perf_counter()
            runs[name] = candidate.load()
            load_s.append(time.perf_counter() - started)
            advance()
    pictures = {
        name: piece(candidate.tile, candidate.channels)
        for name, candidate in zip(names, candidates, strict=True)
    }
    with progress.stage("timing by turns", len(candidates) * (request.rounds + 1)) as advance:
        timings = time_by_turns(runs, pictures, request.rounds, advance)
    floats = {
        _setting(item): timings[name]
        for name, item in zip(names, candidates, strict=True)
        if item.precision == "fp32"
    }
    rows = []
    for name, item, loaded, peak in zip(names, candidates, load_s, peaks, strict=True):
        reference = floats.get(_setting(item))
        ratio = None if reference is None else timings[name].times_as_fast_as(reference)
        size_bytes = item.path.stat().st_size
        rows.append(BenchRow(item, timings[name], loaded, peak, size_bytes, ratio))
    return tuple(rows)


def not_measured(request: BenchRequest, rows: Sequence[BenchRow]) -> tuple[str, ...]:
    """Return the int8 files of the build that no row is of.

    Raises:
        InputError: there is no such build.
    """
    _, manifest = find_build(request.builds, request.model, how_to_build)
    names = {row.candidate.path.name for row in rows}
    return tuple(
        item.path
        for item in manifest.models()
        if item.precision == "int8" and item.path not in names
    )


def piece(size: Size, channels: Channels = RGB) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a piece of a photograph as input of a size, float32 [1, C, H, W]."""
    picture = verification_pictures().patches[0].load()
    again = [-(-side // have) for side, have in zip(size.sides, picture.shape, strict=False)]
    tiled = np.tile(picture, (*again, 1))[: size.height_px, : size.width_px]
    return to_input(np.ascontiguousarray(tiled), channels)


def _setting(item: Candidate) -> tuple[str, Size, int | None]:
    return item.backend, item.tile, item.threads


def _candidates(request: BenchRequest) -> Iterator[Candidate]:
    """Yield what is measured: of each setting the float file first."""
    folder, manifest = find_build(request.builds, request.model, how_to_build)
    installed = tuple(filter(is_installed, BACKENDS))
    tiles: Sequence[Size] = request.tiles or (manifest.network.tile.size,)
    threads: Sequence[int | None] = request.threads or (None,)
    scale, channels = manifest.network.scale, manifest.network.tile.channels
    for tile in tiles:
        for count in threads:
            for backend in request.backends or installed:
                for precision in ("fp32", "int8"):
                    for artifact, name in runnable_files(manifest, (precision,), (backend,)):
                        file = BuiltFile(folder, manifest, artifact, name)
                        file.require_named()
                        path = folder / artifact.path
                        yield Candidate(path, precision, name, scale, tile, count, channels)
            if not request.backends and find_spec("ncnn") and count in {None, _NCNN_THREADS}:
                path = folder / manifest.float_artifact.path
                yield Candidate(path, "fp32", "ncnn", scale, tile, count, channels)


def _peak_mb(candidate: Candidate) -> float | None:
    """Return the peak memory of a process that loads a file and runs it once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak_here, candidate).result()


def _peak_here(candidate: Candidate) -> float | None:
    candidate.load()(piece(candidate.tile, candidate.channels))
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  # Unix alone has it

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
