"""Measure what onnxruntime makes of int8 files on a CPU without VNNI.

    python benchmarks/saturation.py dist/x4plus-anime-6b/x4plus-anime-6b-int8-ort.onnx

Needs ``qemu-x86_64`` (Debian's qemu-user), which emulates a Haswell: AVX2, no VNNI. A file's own
build holds the float model beside it. One photograph of the embedded sample is run, which takes
minutes there. Parity with float and with the file's QDQ reference semantics, in dB:

    file                    every optimization off
    here                    onnxruntime as it comes, on this processor
    Haswell                 the same, emulated
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.colours import RGB
from calib.graph import GraphIndex
from calib.images import to_input
from calib.sample import verification_pictures
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest
from deploy.artifacts.onnx_files import read_model
from deploy.metrics.psnr_ssim import parity_db
from deploy.runtime.cpu import this_machine
from deploy.runtime.runner import model_runner
from quant.qdq.saturation import saturable_convolutions
from quant.qdq.view import QdqView

_EMULATED = """
import sys, numpy, onnxruntime
model, given, taken = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
numpy.save(taken, session.run(None, {"input": numpy.load(given)})[0])
"""

HEAD = """\
| int8 file | can saturate | file to float | here to float | to file | Haswell to float | to file |
|---|---|---|---|---|---|---|"""


def emulated(model: Path, picture: Float32) -> Float32:
    """Return the output of onnxruntime on an emulated Haswell.

    Raises:
        subprocess.CalledProcessError: the emulator or onnxruntime failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "input.npy", Path(folder) / "output.npy"
        np.save(given, picture)
        command = ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", _EMULATED]
        command += [str(model), str(given), str(taken)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        output: Float32 = np.load(taken)
        return output


def table_line(path: Path, picture: Float32) -> str:
    """Run one file in every way and return its line of the table."""
    manifest = read_manifest(path.parent / MANIFEST_NAME)
    runs = {
        "float": model_runner(path.parent / manifest.float_artifact.path, optimized=True)(picture),
        "file": model_runner(path, optimized=False)(picture),
        "here": model_runner(path, optimized=True)(picture),
        "Haswell": emulated(path, picture),
    }
    seen = {name: np.clip(output, 0.0, 1.0) for name, output in runs.items()}
    saturable = saturable_convolutions(QdqView(GraphIndex(read_model(path))))
    figures = [parity_db(seen["float"], seen["file"])]
    for name in ("here", "Haswell"):
        figures += [parity_db(seen["float"], seen[name]), parity_db(seen["file"], seen[name])]
    return f"| {path.name} | {len(saturable)} | {' | '.join(f'{f:.2f}' for f in figures)} |"


def main() -> None:
    """Print one line per file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="int8 files of finished builds")
    options = parser.parse_args()
    picture = to_input(verification_pictures().patches[0].load(), RGB)
    print(f"here: {this_machine()}\n\n{HEAD}", flush=True)
    for path in options.files:
        print(table_line(path, picture), flush=True)


if __name__ == "__main__":
    main()
