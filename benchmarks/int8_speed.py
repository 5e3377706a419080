"""Measure how much faster the int8 files of builds run than their float files.

    python benchmarks/int8_speed.py dist/x4plus-anime-6b dist/x4plus --rounds 9

Both files of a pair run in the same runtime in the same process, by turns, on a photograph of the
embedded sample; a pair's ratio is the median over the rounds of one round's ratio, so that what
else the machine does falls on both alike. Run it on a machine that does nothing else.

OpenVINO is timed as it comes and with ``INFERENCE_PRECISION_HINT=f32``: as it comes, it computes
the float file and the float parts of the int8 file in bf16 where the processor has it, which is
fast and costs more than int8 does (59 dB on one network).

Beside the times stands how many of the int8 file's convolutions each runtime ran as integers, as
its own optimized graph tells.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import onnx

from calib.colours import RGB
from calib.images import to_input
from calib.runtime import Session
from calib.sample import verification_pictures
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest
from deploy.runtime.backends import BackendName, backend_runner, backend_version, is_installed
from deploy.runtime.cpu import this_machine
from deploy.runtime.timing import time_by_turns

SETTINGS: dict[str, tuple[BackendName, Mapping[str, str]]] = {
    "onnxruntime": ("ort", {}),
    "OpenVINO": ("openvino", {}),
    "OpenVINO, f32": ("openvino", {"INFERENCE_PRECISION_HINT": "f32"}),
}
"""Runtimes and their configuration, by what the table calls them."""


def integer_convolutions_ort(model: onnx.ModelProto) -> int:
    """Count the integer convolutions of the graph that onnxruntime makes of a model."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "optimized.onnx"
        Session(model, optimized=True, save_optimized=saved)
        optimized = onnx.load(saved)
    return sum(node.op_type == "QLinearConv" for node in optimized.graph.node)


def integer_convolutions_openvino(model: onnx.ModelProto) -> int:
    """Count the convolutions that OpenVINO's CPU plugin runs on 8-bit inputs."""
    import openvino  # noqa: PLC0415  # an extra

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU")
    count = 0
    for operation in compiled.get_runtime_model().get_ordered_ops():
        told = {key: str(value.astype(str)) for key, value in operation.get_rt_info().items()}
        kind, kernel = told.get("layerType", ""), told.get("primitiveType", "").lower()
        count += kind == "Convolution" and kernel.endswith(("_i8", "_u8"))
    return count


COUNTERS: dict[BackendName, Callable[[onnx.ModelProto], int]] = {
    "ort": integer_convolutions_ort,
    "openvino": integer_convolutions_openvino,
}

HEAD = """\
| int8 file | runtime | integer convolutions | float, s | int8, s | times as fast | min to max |
|---|---|---|---|---|---|---|"""


def table_lines(build: Path, rounds: int) -> Iterator[str]:
    """Time every int8 file of a build in every runtime; yield a line of the table for each."""
    manifest = read_manifest(build / MANIFEST_NAME)
    float_model = onnx.load(build / manifest.float_artifact.path)
    total = sum(node.op_type == "Conv" for node in float_model.graph.node)
    picture = to_input(verification_pictures().patches[0].load(), RGB)
    for label, (backend, config) in SETTINGS.items():
        if not is_installed(backend):
            continue
        float_run = backend_runner(backend, float_model, config)
        for item in manifest.models():
            if item.precision != "int8":
                continue
            model = onnx.load(build / item.path)
            runs = {"float": float_run, "int8": backend_runner(backend, model, config)}
            timings = time_by_turns(runs, dict.fromkeys(runs, picture), rounds)
            pairs = zip(timings["float"].seconds, timings["int8"].seconds, strict=True)
            ratios = [theirs / own for theirs, own in pairs]
            yield (
                f"| {build.parent.name}/{item.path} | {label} {backend_version(backend)} "
                f"| {COUNTERS[backend](model)} of {total} "
                f"| {timings['float'].median:.2f} "
                f"| {timings['int8'].median:.2f} "
                f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
            )


def main() -> None:
    """Print one table of all builds named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs="+", type=Path, help="folders of finished builds")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each file")
    options = parser.parse_args()
    print(f"{this_machine()}\n\n{HEAD}")
    for build in options.builds:
        for line in table_lines(build, options.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
