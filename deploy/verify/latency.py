"""Time the files of a build in the runtimes that they are made for, one picture each.

The figures are of this machine and this minute: they are shown, and no artifact holds them. A
build can wait seconds for them, not minutes, so one inference is timed without a warm-up; where
that took less than :data:`SHORT_S`, two more are, and the shortest counts. The float file is timed
in every runtime that an int8 file is timed in, so that the two can be compared; what it draws in
onnxruntime meanwhile need not be drawn again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calib.arrays import Float32
from calib.errors import EsrdeployError
from deploy.artifacts.build_folder import Build
from deploy.progress import Progress
from deploy.runtime.backends import BackendName, backend_runner, backend_version
from deploy.runtime.runner import Runner
from deploy.verify.backends_of_file import absence, runtime_of

SHORT_S = 0.5
_RUNS = 3


@dataclass(frozen=True)
class Latency:
    """How long one file takes for one picture in a runtime of this machine, or why not known.

    Attributes:
        artifact: the file.
        runtime: name and version; empty where it was not run.
        seconds: of one inference on every core; ``None`` where it was not run.
        float_seconds: of the float file in the same runtime; ``None`` where that is not known.
        reason: why it was not run; empty where it was.
    """

    artifact: str
    runtime: str = ""
    seconds: float | None = None
    float_seconds: float | None = None
    reason: str = ""

    @property
    def times_as_fast(self) -> float | None:
        """The float file's time per this file's, in the same runtime."""
        if self.seconds is None or self.float_seconds is None:
            return None
        return self.float_seconds / self.seconds

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        faster = self.times_as_fast
        return {
            "file": self.artifact,
            "runtime": self.runtime or None,
            "latency_ms": None if self.seconds is None else round(1000 * self.seconds, 1),
            "times_as_fast_as_float": None if faster is None else round(faster, 2),
            "not_run": self.reason or None,
        }


def measure_latencies(
    build: Build, picture: Float32, progress: Progress
) -> tuple[tuple[Latency, ...], Float32 | None]:
    """Time the float file and every int8 file of a build, one after the other.

    fp16 files are left out: onnxruntime computes their nodes in float32 on a CPU.

    Args:
        build: what to time.
        picture: float32 [1, 3, H, W] in [0, 1].
        progress: told what is going on.

    Returns:
        The latencies in the manifest's order, and what the float file drew in onnxruntime,
        float32 [1, 3, H*scale, W*scale]; ``None`` where it does not run.
    """
    reference = build.manifest.float_artifact.path
    files = [item for item in build.manifest.models() if item.precision != "fp16"]
    files = [item for item in files if item.path in build.models]
    floats: dict[BackendName, float] = {}
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
                    run = backend_runner(runtime, build.models[reference])
                    floats[runtime], output = timed(run, picture)
                    drawn = output if runtime == "ort" else drawn
                seconds = floats.get(runtime)
                if item.path != reference:
                    seconds, _ = timed(backend_runner(runtime, build.models[item.path]), picture)
            except EsrdeployError as error:
                found.append(Latency(item.path, reason=str(error)))
            else:
                named = f"{runtime} {backend_version(runtime)}"
                found.append(Latency(item.path, named, seconds, floats.get(runtime)))
            advance()
    return tuple(found), drawn


def timed(run: Runner, picture: Float32) -> tuple[float, Float32]:
    """Return the seconds that one inference takes, and its output."""
    seconds, output = _once(run, picture)
    if seconds < SHORT_S:
        seconds = min(seconds, *(_once(run, picture)[0] for _ in range(_RUNS - 1)))
    return seconds, output


def _once(run: Runner, picture: Float32) -> tuple[float, Float32]:
    started = time.perf_counter()
    output = run(picture)
    return time.perf_counter() - started, output


def latencies_text(found: Sequence[Latency]) -> list[list[str]]:
    """Return a row for each file: its name, runtime, milliseconds, and times as fast as float."""
    rows = []
    for item in found:
        if item.seconds is None:
            rows.append([item.artifact, f"not run: {item.reason}", "-", "-"])
            continue
        faster = item.times_as_fast
        ratio = "-" if faster is None else f"{faster:.2f}"
        rows.append([item.artifact, item.runtime, f"{1000 * item.seconds:.0f}", ratio])
    return rows
