"""Measure what a build gains by other forms of its upsampling: time and parity of its int8 files.

    python benchmarks/upsampling.py dist/x4plus-anime-6b --rounds 9

Each int8 file is taken with its upsampling as it is in the network (``--upsampling resize``) and
rewritten: in phases (Conv, DepthToSpace, Slice) and as one ConvTranspose. All three run by turns on
one thread in one process, and what is compared is the processor time of that process, so that other
work on the machine falls on all alike. A ratio is the median over the rounds of one round's ratio.
Parity is that of the verification pictures with the float model, in QDQ reference semantics.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from calib.arrays import Float32
from calib.colours import RGB
from calib.graph import GraphIndex, rewritten
from calib.images import to_input
from calib.runtime import Session
from calib.sample import verification_pictures
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest
from deploy.metrics.psnr_ssim import parity_db
from deploy.runtime.backends import BackendName, backend_runner, backend_version, is_installed
from deploy.runtime.cpu import this_machine
from deploy.runtime.runner import Runner, model_runner
from quant.passes.lowering import resize_deconvolution, resize_phases
from quant.passes.lowering.replace import Replacement, replaced

FORMS = {"phases": resize_phases.find, "ConvTranspose": resize_deconvolution.find}
HEAD = """\
| int8 file | runtime | upsampling | CPU s | times as fast | min to max | parity dB mean | lowest |
|---|---|---|---|---|---|---|---|"""


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose weights that are stored as fp16 are float32 constants."""
    index = GraphIndex(model)
    casts = [
        node for node in index.nodes if node.op_type == "Cast" and index.is_constant(node.input[0])
    ]
    gone = {node.input[0] for node in casts}
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in gone]
    for node in casts:
        value = index.constant(node.input[0])
        assert value is not None
        kept.append(numpy_helper.from_array(value.astype(np.float32), node.output[0]))
    nodes = [node for node in index.nodes if node not in casts]
    return onnx.shape_inference.infer_shapes(rewritten(model, nodes, kept))


def forms(model: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """Return an int8 model by the form of its upsampling.

    Raises:
        SystemExit: its upsampling is not that of the network.
    """
    found = {"Resize, Conv": widened(model)}
    index = GraphIndex(found["Resize, Conv"])
    for name, find in FORMS.items():
        places = [item for item in find(index) if isinstance(item, Replacement)]
        if not places:
            raise SystemExit("found no nearest Resize with a float convolution behind it")
        found[name] = replaced(index, places)
    return found


def turns(runners: Mapping[str, Runner], picture: Float32, rounds: int) -> dict[str, list[float]]:
    """Run all once to warm up, then by turns; return the processor seconds of each run."""
    for run in runners.values():
        run(picture)
    spent: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            started = time.process_time()
            run(picture)
            spent[name].append(time.process_time() - started)
    return spent


def one_thread(backend: BackendName, model: onnx.ModelProto) -> Runner:
    """Return a model as a runtime computes it on one thread, in float32 where it is not integer."""
    if backend == "ort":
        session = Session(model, optimized=True, threads=1)
        (name,) = session.inputs
        return lambda picture: next(iter(session.run({name: picture}).values()))
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1"}
    return backend_runner(backend, model, config)


def table_lines(build: Path, rounds: int) -> Iterator[str]:
    """Measure every int8 file of a build; yield a line of the table for each form and runtime."""
    manifest = read_manifest(build / MANIFEST_NAME)
    size = manifest.network.tile.size
    pictures = [to_input(patch.load(), RGB) for patch in verification_pictures(size).patches]
    expected = [
        np.clip(
            model_runner(onnx.load(build / manifest.float_artifact.path), optimized=True)(x), 0, 1
        )
        for x in pictures
    ]
    backends: tuple[BackendName, ...] = ("ort", "openvino")
    for item in manifest.models():
        if item.precision != "int8":
            continue
        models = forms(onnx.load(build / item.path))
        parities = {}
        for name, model in models.items():
            run = model_runner(model, optimized=False)
            drawn = (np.clip(run(picture), 0, 1) for picture in pictures)
            parities[name] = [parity_db(*pair) for pair in zip(expected, drawn, strict=True)]
        for backend in filter(is_installed, backends):
            runners = {name: one_thread(backend, model) for name, model in models.items()}
            spent = turns(runners, pictures[0], rounds)
            base = spent["Resize, Conv"]
            for name, seconds in spent.items():
                ratios = [a / b for a, b in zip(base, seconds, strict=True)]
                yield (
                    f"| {item.path} | {backend} {backend_version(backend)} | {name} "
                    f"| {statistics.median(seconds):.2f} | {statistics.median(ratios):.3f} "
                    f"| {min(ratios):.2f} to {max(ratios):.2f} "
                    f"| {statistics.mean(parities[name]):.3f} | {min(parities[name]):.3f} |"
                )


def main() -> None:
    """Print one table of all builds named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs="+", type=Path, help="folders of finished builds")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each form")
    options = parser.parse_args()
    print(f"{this_machine()}\n\n{HEAD}")
    for build in options.builds:
        for line in table_lines(build, options.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
