"""Quantize a TFLite file with ai-edge-quantizer where the route says so, and run it in LiteRT.

onnx2tf's own int8 stops at networks whose Concat joins tensors of several scales; ai-edge-quantizer
writes the requantization. onnx2tf chooses the order of axes at each end by itself.
"""

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from golden_job import GoldenJob
from numpy.typing import NDArray


def quantized(job: GoldenJob, float_file: Path) -> Path:
    """Return the int8 file of a float file, by ranges of the bundle's calibration pictures."""
    built: Path = job.work / "int8.tflite"
    if built.is_file():
        return built
    net = Interpreter(str(float_file))
    ((key, signature),) = net.get_signature_list().items()
    (name,) = signature["inputs"]
    shape = net.get_input_details()[0]["shape"]
    pictures = [{name: in_order(job.calibration_input(path), shape)} for path in job.calibration]
    work = quantizer.Quantizer(str(float_file))
    work.load_quantization_recipe(recipe.static_wi8_ai8())
    part = job.work / "part.tflite"
    part.unlink(missing_ok=True)
    work.quantize(work.calibrate({key: pictures})).export_model(str(part))
    part.replace(built)
    return built


def in_order(planes: NDArray[np.float32], shape: Any) -> NDArray[np.float32]:
    """Return a picture [1, C, H, W] with the axes of a tensor of TFLite's."""
    moved = planes if tuple(planes.shape) == tuple(shape) else planes.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(moved)


def main() -> None:
    """Quantize, if asked for, and run."""
    job = GoldenJob.read()
    channels = job.input(job.inputs[0]).shape[1]
    built = job.work / "float.tflite"
    if job.route == "own":
        built = quantized(job, built)
    net = Interpreter(str(built), num_threads=2)
    net.allocate_tensors()
    (source,), (result,) = net.get_input_details(), net.get_output_details()

    def compute(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        picture: NDArray[Any] = in_order(planes, source["shape"])
        if source["dtype"] != np.float32:
            step, zero = source["quantization"]
            picture = np.clip(np.rint(picture / step) + zero, -128, 127).astype(source["dtype"])
        net.set_tensor(source["index"], picture)
        net.invoke()
        output = net.get_tensor(result["index"])
        if result["dtype"] != np.float32:
            step, zero = result["quantization"]
            output = ((output.astype(np.float32) - zero) * step).astype(np.float32)
        found: NDArray[np.float32] = output
        return found if found.shape[1] == channels else found.transpose(0, 3, 1, 2)

    job.run(compute)


if __name__ == "__main__":
    main()
