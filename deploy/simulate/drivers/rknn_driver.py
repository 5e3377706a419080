"""Build a network with rknn-toolkit2 and run the golden inputs on its simulator.

Route ``own`` lets the toolkit quantize the float file on the bundle's calibration pictures; any
other builds the file as it is: QDQ with its scales, float in fp16.
"""

import sys

import numpy as np
from golden_job import GoldenJob
from numpy.typing import NDArray
from rknn.api import RKNN

PLATFORM = "rk3588"
LEVELS = 255


def require(status: int, step: str) -> None:
    """Exit where a step of the toolkit failed."""
    if status != 0:
        sys.exit(f"rknn-toolkit2 failed to {step}: status {status}")


def main() -> None:
    """Build, export, run."""
    job = GoldenJob.read()
    own = job.route == "own"
    channels = job.input(job.inputs[0]).shape[1]
    dataset = job.work / "dataset.txt"
    dataset.write_text("".join(f"{path}\n" for path in job.calibration), encoding="utf-8")
    rknn = RKNN(verbose=False)
    # Input 0..255 becomes (x - mean) / std = x / 255, which is what the network expects.
    status = rknn.config(
        mean_values=[[0] * channels],
        std_values=[[LEVELS] * channels],
        target_platform=PLATFORM,
        quantized_dtype="w8a8",
        quantized_algorithm="normal",
        quantized_method="channel",
    )
    require(status, "take the configuration")
    require(rknn.load_onnx(str(job.model)), f"load {job.model.name}")
    require(rknn.build(do_quantization=own, dataset=str(dataset) if own else None), "build")
    name = f"{job.stem}-{job.route}-{PLATFORM}.rknn"
    require(rknn.export_rknn(str(job.work / name)), f"export {name}")
    require(rknn.init_runtime(), "start the simulator")

    def compute(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        pixels = np.rint(planes * LEVELS).astype(np.uint8).transpose(0, 2, 3, 1)
        (output,) = rknn.inference([np.ascontiguousarray(pixels)], data_format=["nhwc"])
        found: NDArray[np.float32] = output
        return found

    job.run(compute)
    rknn.release()


if __name__ == "__main__":
    main()
