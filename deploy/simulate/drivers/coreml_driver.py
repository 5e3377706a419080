"""Convert a network to a Core ML program with coremltools, as ``work/network.mlpackage``.

Only Apple's systems execute Core ML. What is looked at here is what was written: the names and
shapes of both ends, read back from the package.
"""

from typing import Any

import coremltools
import numpy as np
import torch
from golden_job import GoldenJob
from onnx_as_torch import OnnxAsTorch


def ends_of(package: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of each end of a Core ML model, by its name."""
    said = package.get_spec().description
    return {end.name: tuple(end.type.multiArrayType.shape) for end in (*said.input, *said.output)}


def main() -> None:
    """Convert in float32, write, read back."""
    job = GoldenJob.read()
    golden = job.input(job.inputs[0])
    drawn = np.load(job.bundle / "golden" / "float" / f"{job.inputs[0]}.npy")
    with torch.no_grad():
        exported = torch.export.export(
            OnnxAsTorch(job.model).eval(), (torch.from_numpy(golden),)
        ).run_decompositions({})
    converted = coremltools.convert(
        exported,
        inputs=[coremltools.TensorType(name="input", shape=golden.shape)],
        outputs=[coremltools.TensorType(name="output")],
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS16,
        skip_model_load=True,
    )
    path = job.work / "network.mlpackage"
    converted.save(str(path))
    found = ends_of(coremltools.models.MLModel(str(path), skip_model_load=True))
    expected = {"input": golden.shape, "output": drawn.shape}
    if found != expected:
        raise SystemExit(f"the package takes and gives {found}; expected {expected}")
    print(f"written and read back: {found}")


if __name__ == "__main__":
    main()
