"""Compile a float ONNX file for a Kendryte K230 with nncase, as ``work/network.kmodel``.

Route ``own`` lets nncase quantize it on the bundle's calibration pictures: uint8 activations and
weights, ranges by method NoClip.
"""

from kendryte_runtime import start_in_runtime

start_in_runtime()

import nncase  # noqa: E402  # needs what the line before set
from golden_job import GoldenJob  # noqa: E402


def main() -> None:
    """Compile the model of the job."""
    job = GoldenJob.read()
    options = nncase.CompileOptions()
    options.target = "k230"
    options.dump_asm = False
    compiler = nncase.Compiler(options)
    compiler.import_onnx(job.model.read_bytes(), nncase.ImportOptions())
    if job.calibration:
        quantization = nncase.PTQTensorOptions()
        quantization.calibrate_method = "NoClip"
        quantization.samples_count = len(job.calibration)
        pictures = [[job.calibration_input(path)] for path in job.calibration]
        quantization.set_tensor_data(pictures)
        compiler.use_ptq(quantization)
    compiler.compile()
    (job.work / "network.kmodel").write_bytes(compiler.gencode_tobytes())


if __name__ == "__main__":
    main()
