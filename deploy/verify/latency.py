"""Time the files of a build in the runtimes that they are made for, one inference each.

The figures are of this machine and this minute: they are shown, and no artifact holds them. A
build can wait seconds for them, not minutes, so inferences are timed without a warm-up: three,
where one takes less than :data:`SHORT_S`; two, where less than :data:`LONG_S`; else one. The
shortest counts, and the longest is shown beside it: whatever else the machine did lies between.
The float file is timed in every runtime that an int8 file is timed in, so that the two can be
compared; what it draws in onnxruntime meanwhile need not be drawn again. ``esrdeploy bench``
measures by turns, for as many rounds as one likes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calib.arrays import Float32
from calib.errors import EsrdeployError
from deploy.artifacts.build_folder import Build
from deploy.progress import Progress
from deploy.runtime.backends import BackendName, backend_runner, backend_version
from deploy.runtime.runner import Runner
from deploy.verify.backends_of_file import absence, runtime_of

SHORT_S, LONG_S = 0.5, 2.0
_SHORT_RUNS, _RUNS = 3, 2


@dataclass(frozen=True)
class Latency:
    """How long one file takes for one inference in a runtime of this machine, or why not known.

    Attributes:
        artifact: the file.
        runtime: name and version; empty where it was not run.
        runs: seconds of each inference on every core; empty where it was not run.
        float_runs: of the float file in the same runtime; empty where that is not known.
        reason: why it was not run; empty where it was.
    """

    artifact: str
    runtime: str = ""
    runs: tuple[float, ...] = ()
    float_runs: tuple[float, ...] = ()
    reason: str = ""

    @property
    def times_as_fast(self) -> float | None:
        """The float file's shortest time per this file's, in the same runtime."""
        if not self.runs or not self.float_runs:
            return None
        return min(self.float_runs) / min(self.runs)

    @property
    def times_as_fast_between(self) -> tuple[float, float] | None:
        """The least and the most that the same ratio is for any two of the inferences."""
        if not self.runs or not self.float_runs:
            return None
        return min(self.float_runs) / max(self.runs), max(self.float_runs) / min(self.runs)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        faster, between = self.times_as_fast, self.times_as_fast_between
        return {
            "file": self.artifact,
            "runtime": self.runtime or None,
            "runs": len(self.runs),
            "latency_ms": round(1000 * min(self.runs), 1) if self.runs else None,
            "latency_ms_longest": round(1000 * max(self.runs), 1) if self.runs else None,
            "times_as_fast_as_float": None if faster is None else round(faster, 2),
            "times_as_fast_as_float_between": between and [round(one, 2) for one in between],
            "not_run": self.reason or None,
        }


def measure_latencies(
    build: Build, picture: Float32, progress: Progress
) -> tuple[tuple[Latency, ...], Float32 | None]:
    """Time the float file and every int8 file of a build, one after the other.

    fp16 files are left out: onnxruntime computes their nodes in float32 on a CPU.

    Args:
        build: what to time.
        picture: float32 [1, 3, H, W] in [0, 1]; a file of several pictures at once takes it for
            each.
        progress: told what is going on.

    Returns:
        The latencies in the manifest's order, the float file's in another runtime before the first
        int8 file that is held against it, and what the float file drew in onnxruntime,
        float32 [1, 3, H*scale, W*scale]; ``None`` where it does not run.
    """
    reference = build.manifest.float_artifact.path
    files = [item for item in build.manifest.models() if item.precision != "fp16"]
    files = [item for item in files if item.path in build.models]
    floats: dict[BackendName, tuple[float, ...]] = {}
    drawn: Float32 | None = None
    found: list[Latency] = []
    with progress.stage(f"{build.manifest.model}: timing", len(files)) as advance:
        for item in files:
            runtime = runtime_of(item)
            if runtime is None:
                found.append(Latency(item.path, reason=absence(item)))
                advance()
                continue
            try:
                if runtime not in floats and reference in build.models:
                    run = backend_runner(runtime, build.files[reference])
                    floats[runtime], output = timed(run, picture)
                    drawn = output if runtime == "ort" else drawn
                    if item.path != reference:
                        found.append(_latency(reference, runtime, floats[runtime], floats))
                runs = floats.get(runtime, ())
                if item.path != reference:
                    runs, _ = timed(backend_runner(runtime, build.files[item.path]), picture)
            except EsrdeployError as error:
                found.append(Latency(item.path, reason=str(error)))
            else:
                found.append(_latency(item.path, runtime, runs, floats))
            advance()
    return tuple(found), drawn


def _latency(
    artifact: str,
    runtime: BackendName,
    runs: tuple[float, ...],
    floats: Mapping[BackendName, tuple[float, ...]],
) -> Latency:
    named = f"{runtime} {backend_version(runtime)}"
    return Latency(artifact, named, runs, floats.get(runtime, ()))


def timed(run: Runner, picture: Float32) -> tuple[tuple[float, ...], Float32]:
    """Return the seconds that each of a few inferences takes, and the output."""
    seconds, output = _once(run, picture)
    more = 0
    if seconds < LONG_S:
        more = (_SHORT_RUNS if seconds < SHORT_S else _RUNS) - 1
    return (seconds, *(_once(run, picture)[0] for _ in range(more))), output


def _once(run: Runner, picture: Float32) -> tuple[float, Float32]:
    started = time.perf_counter()
    output = run(picture)
    return time.perf_counter() - started, output


def latencies_text(found: Sequence[Latency]) -> list[list[str]]:
    """Return a row for each file: its name, runtime, milliseconds, and times as fast as float."""
    rows = []
    for item in found:
        if not item.runs:
            rows.append([item.artifact, f"not run: {item.reason}", "-", "-"])
            continue
        rows.append([item.artifact, item.runtime, _milliseconds(item.runs), _faster(item)])
    return rows


def _milliseconds(runs: tuple[float, ...]) -> str:
    """Return the shortest and the longest of some inferences."""
    shortest, longest = (f"{1000 * one:.0f}" for one in (min(runs), max(runs)))
    return f"{shortest} (one run)" if len(runs) == 1 else f"{shortest} to {longest}"


def _faster(item: Latency) -> str:
    """Return how many times as fast as float, and between what that lies."""
    if item.times_as_fast is None or item.times_as_fast_between is None:
        return "-"
    if item.runs == item.float_runs:
        return "1"
    least, most = item.times_as_fast_between
    return f"{item.times_as_fast:.2f} ({least:.2f} to {most:.2f})"
