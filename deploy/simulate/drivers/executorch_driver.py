"""Lower a network to ExecuTorch's XNNPACK delegate and run the golden inputs in its runtime.

Route ``own`` lets torchao's quantizer for XNNPACK (PT2E: static, weights per channel) quantize the
network on the bundle's calibration pictures, route ``ranges`` by our ranges.
"""

from pathlib import Path
from typing import Any

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from executorch_ranges import with_ours
from golden_job import GoldenJob
from onnx_as_torch import OnnxAsTorch
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e


def lowered(job: GoldenJob, example: torch.Tensor) -> Path:
    """Return the program of a network, made unless it is there."""
    built: Path = job.work / "network.pte"
    if built.is_file():
        return built
    network: Any = OnnxAsTorch(job.model).eval()
    if job.route != "float":
        network = quantized(job, network, example)
    program = to_edge_transform_and_lower(
        torch.export.export(network, (example,)), partitioner=[XnnpackPartitioner()]
    )
    part = job.work / "part.pte"
    part.write_bytes(program.to_executorch().buffer)
    part.replace(built)
    return built


def quantized(job: GoldenJob, network: OnnxAsTorch, example: torch.Tensor) -> torch.nn.Module:
    """Return the network in int8, by our ranges or those of the bundle's calibration pictures."""
    quantizer = XNNPACKQuantizer()
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(network, (example,)).module(), quantizer)
    with torch.no_grad():
        if job.route == "ranges":
            with_ours(prepared, network, job.bundle / "qnn" / f"{job.stem}-w8a8.encodings.json")
        for path in job.calibration:
            prepared(torch.from_numpy(job.calibration_input(path)))
    result: torch.nn.Module = convert_pt2e(prepared)
    return result


def main() -> None:
    """Quantize if asked for, lower, run."""
    job = GoldenJob.read()
    example = torch.from_numpy(job.input(job.inputs[0]))
    with torch.no_grad():
        path = lowered(job, example)
    method = Runtime.get().load_program(path).load_method("forward")
    job.run(lambda planes: method.execute([torch.from_numpy(planes)])[0].numpy())


if __name__ == "__main__":
    main()
