"""Import a network into Acuity and run the golden inputs in its ``Inference``.

That computes the network as it was quantized, in TensorFlow: it is no simulator of a chip. Routes
``own`` and ``own-channel`` let Acuity quantize the float file on the bundle's calibration pictures.
"""

import os
from collections.abc import Iterator

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
from acuitylib.interface.importer import OnnxLoader
from acuitylib.interface.inference import Inference
from acuitylib.interface.quantization import Quantization
from golden_job import GoldenJob
from numpy.typing import NDArray

QUANTIZERS = {
    "own": ("asymmetric_affine", "uint8"),
    "own-channel": ("perchannel_symmetric_affine", "int8"),
}
"""Acuity's quantizer and type by route: one scale for a weight, or one for each channel of it."""


def main() -> None:
    """Import, quantize if asked for, run."""
    job = GoldenJob.read()
    shape = list(job.input(job.inputs[0]).shape)
    net = OnnxLoader(str(job.model)).load(
        inputs=["input"], input_size_list=[shape], outputs=["output"]
    )

    def pictures() -> Iterator[list[NDArray[np.float32]]]:
        for path in job.calibration:
            yield [job.calibration_input(path)]

    if job.calibration:
        quantizer, kind = QUANTIZERS[job.route]
        Quantization(net).quantize(  # in place
            input_generator_func=pictures,
            quantizer=quantizer,
            qtype=kind,
            iterations=len(job.calibration),
        )
    inference = Inference(net)
    inference.build_session()
    job.run(lambda planes: np.asarray(inference.run_session([planes])[1][0], np.float32))


if __name__ == "__main__":
    main()
