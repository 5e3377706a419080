"""Measure what calibrating a float ONNX model costs, ours beside onnxruntime's.

Run from the project's folder, for example:

    python benchmarks/calibration.py dist/x4plus/x4plus-fp32.onnx --images DIV2K --counts 2 8 32

Each measurement runs in a process of its own, one after another, so that its peak resident
memory is its own. Just before each, one float inference of the whole graph is timed in another
process with the same threads; times are given as multiples of it. The time of a calibration is
everything after the imports: loading the graph, decoding nothing (patches are decoded before),
running all images, computing ranges; divided by the images.

    ours          calib.calibrate over the tensors that the planner asks for
    ort           onnxruntime's percentile calibrator as it comes: the operators that
                  quantize_static calibrates by default, all images collected before any is counted
    ort-strided   the same, one image at a time (CalibStridedMinMax=1)

onnxruntime keeps what it collects, so counts that would not fit into memory are left out, with
the reason printed: from the size of the graph's tensors, then from the smaller counts' peaks.
Its calibrator takes every core; ``--threads`` therefore is for ours and for the float inference
and should stay at its default when both are compared.
"""

# ruff: noqa: PLC0415  # a measurement's memory must hold its own imports only

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measured import run_measured

CONTENDERS = ("ours", "ort", "ort-strided")
_MEMORY_SHARE = 0.9
_FLOAT_RUNS = 5


@dataclass(frozen=True)
class Row:
    """One line of the table; without figures if ``skipped`` says why."""

    model: str
    contender: str
    images: int
    seconds_per_image: float | None = None
    float_seconds: float | None = None
    peak_mb: float | None = None
    skipped: str | None = None

    @property
    def inferences_per_image(self) -> float | None:
        """Time per image in float inferences."""
        if self.seconds_per_image is None or self.float_seconds is None:
            return None
        return self.seconds_per_image / self.float_seconds


def main() -> None:
    """Measure, print each row as it is known, and the whole table at the end."""
    options = _options()
    if options.measure is not None:
        print(json.dumps({"seconds": _MEASURES[options.measure](options)}))
        return
    rows = []
    for model in options.models:
        for row in _rows(model, options):
            rows.append(row)
            print(_line(row), file=sys.stderr, flush=True)
    print(_table(rows, options.threads))
    if options.json is not None:
        records = [asdict(row) | {"inferences": row.inferences_per_image} for row in rows]
        options.json.write_text(json.dumps(records, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, help="float ONNX models of 1x3x128x128")
    parser.add_argument("--images", type=Path, help="folder of images; default: embedded sample")
    parser.add_argument("--counts", nargs="+", type=int, default=[2, 8, 32])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--measure", choices=sorted(_MEASURES), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=1, help=argparse.SUPPRESS)
    return parser.parse_args()


def _rows(model: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Measure one model: every contender at every count, small counts first."""
    for contender in options.contenders:
        peaks: dict[int, float] = {}
        for count in sorted(options.counts):
            reason = "" if contender == "ours" else _too_large(model, contender, count, peaks)
            if reason:
                yield Row(model.stem, contender, count, skipped=reason)
                continue
            float_seconds, _ = _spawn("float", model, count, options)
            seconds, peak_mb = _spawn(contender, model, count, options)
            peaks[count] = peak_mb
            yield Row(model.stem, contender, count, seconds / count, float_seconds, peak_mb)


def _too_large(model: Path, contender: str, count: int, peaks: dict[int, float]) -> str:
    """Return why onnxruntime should not be tried with this many images, or nothing."""
    available_mb = _available_mb()
    if len(peaks) >= 2:
        (first, low), (last, high) = min(peaks.items()), max(peaks.items())
        needed_mb = high + (high - low) / (last - first) * (count - last)
    elif peaks:
        ((measured, peak_mb),) = peaks.items()
        needed_mb = peak_mb * (count / measured if contender == "ort" else 1)
    else:
        command = [sys.executable, __file__, str(model), "--measure", "tensor-mb"]
        output = subprocess.run(command, check=True, capture_output=True, env=_environment())
        needed_mb = json.loads(output.stdout)["seconds"] * (count if contender == "ort" else 1)
    if needed_mb <= _MEMORY_SHARE * available_mb:
        return ""
    return f"would need about {needed_mb / 1e3:.0f} GB, {available_mb / 1e3:.0f} GB are available"


def _available_mb() -> float:
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(meminfo["MemAvailable"].split()[0]) * 1024 / 1e6


def _spawn(
    measure: str, model: Path, count: int, options: argparse.Namespace
) -> tuple[float, float]:
    """Run one measurement in its own process; return its seconds and peak memory in MB."""
    command = [sys.executable, __file__, str(model), "--measure", measure]
    command += ["--count", str(count), "--threads", str(options.threads)]
    if options.images is not None:
        command += ["--images", str(options.images)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            cost = run_measured(command, log, environment=_environment())
        except subprocess.CalledProcessError as error:
            reason = f"{measure} with {count} images ended with {error.returncode}"
            raise SystemExit(f"{reason}:\n{log.read_text()}") from None
        seconds = json.loads(log.read_text().splitlines()[-1])["seconds"]
    return seconds, cost.peak_mb


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[1])
    paths = filter(None, (root, os.environ.get("PYTHONPATH")))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _patches(options: argparse.Namespace) -> Any:
    from calib.choose_patches import folder_patches
    from calib.sample import sample_patches

    if options.images is None:
        patches = sample_patches("calibration", options.count)
    else:
        patches = folder_patches(options.images, mode="whole", count=options.count, seed=0)
    if len(patches) != options.count:
        raise SystemExit(f"{options.count} images asked for, {len(patches)} found")
    return patches


def _measure_float(options: argparse.Namespace) -> float:
    """Return the median time of one float inference, after one to warm up."""
    import numpy as np

    from calib.runtime import Session

    session = Session(options.models[0], optimized=True, threads=options.threads)
    feeds = {"input": np.random.default_rng(0).random((1, 3, 128, 128), dtype=np.float32)}
    seconds = []
    for _ in range(_FLOAT_RUNS + 1):
        start = time.perf_counter()
        session.run(feeds)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def _measure_ours(options: argparse.Namespace) -> float:
    import onnx

    from calib.calibrate import calibrate
    from quant.analysis.tensor_distributions import observed_tensors

    patches = _patches(options)
    start = time.perf_counter()
    model = onnx.load(options.models[0])
    with tempfile.TemporaryDirectory() as folder:
        table = calibrate(
            model,
            observed_tensors(model),
            patches,
            journal=Path(folder) / "calibration.journal",
            threads=options.threads,
        )
        table.save(Path(folder) / "calibration.json")
    return time.perf_counter() - start


def _measure_ort(options: argparse.Namespace, *, strided: bool = False) -> float:
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    from calib.colours import RGB
    from calib.images import to_input

    inputs = [{"input": to_input(patch.load(), RGB)} for patch in _patches(options).patches]

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self, feeds: list[dict[str, Any]]) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            options.models[0],
            list(set(QLinearOpsRegistry) | set(QDQRegistry)),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Percentile,
        )
        for feeds in ([feed] for feed in inputs) if strided else [inputs]:
            calibrator.collect_data(Reader(feeds))
        calibrator.compute_data()
    return time.perf_counter() - start


def _tensor_mb(options: argparse.Namespace) -> float:
    """Return the megabytes of all tensors that the graph makes for one image."""
    import onnx

    from calib.graph import GraphIndex

    index = GraphIndex(onnx.load(options.models[0]))
    made = [name for node in index.nodes if node.op_type != "Constant" for name in node.output]
    return sum(map(index.size_bytes, made)) / 1e6


_MEASURES: dict[str, Callable[[argparse.Namespace], float]] = {
    "float": _measure_float,
    "ours": _measure_ours,
    "ort": _measure_ort,
    "ort-strided": lambda options: _measure_ort(options, strided=True),
    "tensor-mb": _tensor_mb,
}


def _line(row: Row) -> str:
    head = f"| {row.model} | {row.contender} | {row.images} |"
    if row.skipped is not None:
        return f"{head} - | - | - | left out: {row.skipped} |"
    return (
        f"{head} {row.float_seconds:.2f} | {row.seconds_per_image:.2f} "
        f"| {row.inferences_per_image:.2f} | {row.peak_mb:.0f} |"
    )


def _table(rows: list[Row], threads: int) -> str:
    head = [
        f"{threads} threads; float: one inference; per image: everything but imports",
        "",
        "| model | calibrator | images | float, s | per image, s | per image, float inferences "
        "| peak memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_line, rows)])


if __name__ == "__main__":
    main()
