"""Lower a float ONNX file for a Sophgo BM1684X with TPU-MLIR, as ``work/lowered.mlir``.

Route ``own`` lets TPU-MLIR quantize it to symmetric int8 on the bundle's calibration pictures.
Route ``table`` puts our ranges into the table that it made of them, and quantizes asymmetrically.
"""

import shutil
from pathlib import Path

import onnx
from golden_job import GoldenJob
from our_ranges import activation_ranges
from sophgo_tools import CHIP, call, put_glibc_aside

TABLE = "ranges.table"  # a table named like the model is in the way of a folder of that name


def ours(encodings: Path, model: Path) -> dict[str, tuple[float, float]]:
    """Return our ranges by the names that TPU-MLIR gives tensors: of tensor and operator.

    Args:
        encodings: the bundle's, of target ``qnn``.
        model: the float ONNX file.
    """
    spans = activation_ranges(encodings)
    graph = onnx.load(model).graph
    names = {f"{node.output[0]}_{node.op_type}": node.output[0] for node in graph.node}
    names |= {end.name: end.name for end in graph.input}
    return {theirs: spans[name] for theirs, name in names.items() if name in spans}


def with_ours(table: str, ranges: dict[str, tuple[float, float]]) -> str:
    """Return a calibration table with our ranges; a row is ``TENSOR threshold low high``.

    A tensor that our file has no range of keeps the toolchain's; which those are is printed.

    Raises:
        SystemExit: no row is ours.
    """
    lines, kept, replaced = [], [], 0
    for line in table.splitlines():
        name = line.split(" ")[0]
        if line.startswith("#") or not line.strip():
            lines.append(line)
        elif name in ranges:
            low, high = ranges[name]
            lines.append(f"{name} {max(-low, high):.7f} {low:.7f} {high:.7f}")
            replaced += 1
        else:
            kept.append(name)
            lines.append(line)
    print(f"{replaced} ranges are ours; the toolchain's are {', '.join(kept) or 'none'}")
    if not replaced:
        raise SystemExit("no tensor of the calibration table has a range of ours")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Import, calibrate if asked for, lower."""
    job = GoldenJob.read()
    put_glibc_aside()
    shape = list(job.input(job.inputs[0]).shape)
    scale = ",".join([str(1 / 255)] * 3)
    call(
        job.work, "model_transform.py", "--model_name", "net", "--model_def", job.model,
        "--input_shapes", [shape], "--pixel_format", "rgb", "--mean", "0,0,0", "--scale", scale,
        "--mlir", "net.mlir",
    )  # fmt: skip
    quantized: tuple[object, ...] = ("--quantize", "F32")
    if job.calibration:
        folder, count = job.calibration[0].parent, len(job.calibration)
        call(
            job.work, "run_calibration.py", "net.mlir", "--dataset", folder, "--input_num", count,
            "-o", TABLE,
        )  # fmt: skip
        quantized = ("--quantize", "INT8", "--calibration_table", TABLE)
    if job.route == "table":
        ranges = ours(job.bundle / "qnn" / f"{job.stem}-w8a8.encodings.json", job.model)
        table = job.work / TABLE
        table.write_text(with_ours(table.read_text(encoding="utf-8"), ranges), encoding="utf-8")
        quantized = (*quantized, "--asymmetric")
    call(
        job.work, "model_deploy.py", "--mlir", "net.mlir", *quantized, "--chip", CHIP,
        "--skip_validation", "--debug", "--model", "net.bmodel",
    )  # fmt: skip
    (lowered,) = job.work.glob(f"net_{CHIP}_*_tpu.mlir")
    shutil.copyfile(lowered, job.work / "lowered.mlir")


if __name__ == "__main__":
    main()
