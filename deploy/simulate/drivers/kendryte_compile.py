"""Compile a float ONNX file for a Kendryte K230 with nncase, as ``work/network.kmodel``.

Route ``own`` lets nncase quantize it on the bundle's calibration pictures: uint8 activations and
weights, ranges by method NoClip. Route ``scheme`` puts our ranges into the scheme that it made of
them, and compiles once more.
"""

import shutil
from pathlib import Path
from typing import Any

from kendryte_runtime import start_in_runtime

start_in_runtime()

import nncase  # noqa: E402  # needs what the line before set
from golden_job import GoldenJob  # noqa: E402
from kendryte_scheme import with_ours  # noqa: E402


def compiled(model: Path, quantization: Any = None, dump: Path | None = None) -> bytes:
    """Return the .kmodel of a float file.

    Args:
        model: the file.
        quantization: nncase's options for it; ``None``: float.
        dump: folder for what is exported.
    """
    options = nncase.CompileOptions()
    options.target = "k230"
    options.dump_asm = False
    options.dump_ir = dump is not None
    if dump is not None:
        options.dump_dir = str(dump)
    compiler = nncase.Compiler(options)
    compiler.import_onnx(model.read_bytes(), nncase.ImportOptions())
    if quantization is not None:
        compiler.use_ptq(quantization)
    compiler.compile()
    content: bytes = compiler.gencode_tobytes()
    return content


def by_pictures(job: GoldenJob, count: int) -> Any:
    """Return options that quantize by so many calibration pictures."""
    quantization = nncase.PTQTensorOptions()
    quantization.calibrate_method = "NoClip"
    quantization.samples_count = count
    pictures = [[job.calibration_input(path)] for path in job.calibration[:count]]
    quantization.set_tensor_data(pictures)
    return quantization


def by_our_ranges(job: GoldenJob) -> Any:
    """Return options that quantize by a scheme: nncase's, with our ranges in place of its own."""
    dump, scheme = job.work / "dump", job.work / "scheme.json"
    exported = by_pictures(job, len(job.calibration))
    exported.export_quant_scheme = True
    exported.export_weight_range_by_channel = True
    compiled(job.model, exported, dump)
    text = (dump / "QuantScheme.json").read_text(encoding="utf-8")
    shutil.rmtree(dump)
    encodings = job.bundle / "qnn" / f"{job.stem}-w8a8.encodings.json"
    scheme.write_text(with_ours(text, encodings), encoding="utf-8")
    quantization = by_pictures(job, 1)  # it asks for some and takes no range from them
    quantization.quant_scheme = str(scheme)
    return quantization


def main() -> None:
    """Compile the model of the job."""
    job = GoldenJob.read()
    quantization = None
    if job.route == "scheme":
        quantization = by_our_ranges(job)
    elif job.calibration:
        quantization = by_pictures(job, len(job.calibration))
    (job.work / "network.kmodel").write_bytes(compiled(job.model, quantization))


if __name__ == "__main__":
    main()
