"""Export a network to a float ONNX model that is proven to compute what torch computes.

    trace      torch's TorchScript exporter, opset 17 (why: docs/decisions/0001-onnx-export.md)
    simplify   onnxsim, without the fusions that would change weights
    normalise  the graph spelled in one way only (deploy/network/canonical_graph.py)
    prove      the result = torch, run on every probe, whose lower half is noise; if it is not,
               the graph as traced is run too, so that the message says which step went wrong

Every weight in the result is bit for bit the checkpoint's; folding and equalizing are later,
named passes.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial

import onnx
import torch

from calib.arrays import Float32
from calib.errors import GraphError
from calib.files import temporary_folder
from deploy.network.architecture import INPUT_NAME, OUTPUT_NAME, Architecture, RRDBNet
from deploy.network.canonical_graph import normal_form, require_sound
from deploy.network.exported import (
    MIN_PSNR_DB,
    OPSET,
    WEIGHT_FUSIONS,
    ExportedModel,
    half_noise,
    simplified,
)
from deploy.network.torch_modules import build_generator
from quant.passes.equivalence import Equivalence, Outputs, Probe, outputs_of, require_equivalent


def export_float(
    architecture: Architecture,
    tensors: Mapping[str, Float32],
    pictures: Sequence[Float32],
) -> ExportedModel:
    """Export the network and prove the export.

    Args:
        architecture: sizes, as ``identify`` reads them from ``tensors``.
        tensors: float32 parameters by state dict key.
        pictures: real images, float32 ``[1,C,H,W]`` in [0,1], all of one shape; the graph is
            fixed to that shape. Noise takes the place of their lower halves: it drives the
            network where no photograph does.

    Returns:
        The model and how closely it agrees with torch.

    Raises:
        GraphError: there is no probe, the probes do not fit the network, or the graph differs
            from torch by more than ``MIN_PSNR_DB`` allows.
    """
    inputs = half_noise(pictures)
    _require_divisible(inputs[0], architecture)
    generator = build_generator(architecture, tensors)
    traced, expected = trace(generator, inputs[0])
    model = normal_form(simplified(traced, WEIGHT_FUSIONS))
    require_sound(model, tensors)
    outputs = outputs_of(model, inputs)
    expected += _run_torch(generator, inputs[1:])
    against_torch = _against_torch(outputs, expected, traced, inputs)
    probes = tuple(map(Probe, inputs, outputs))
    by_torch = tuple(output[OUTPUT_NAME] for output in expected)
    return ExportedModel(model, against_torch, probes, by_torch)


def _require_divisible(probe: Float32, architecture: Architecture) -> None:
    height, width = probe.shape[2:]
    if isinstance(architecture, RRDBNet) and (
        height % architecture.unshuffle or width % architecture.unshuffle
    ):
        raise GraphError(
            f"probes of {height}x{width} pixels do not divide by {architecture.unshuffle}, "
            f"as the pixel-unshuffle of {architecture} demands"
        )


def trace(generator: torch.nn.Module, probe: Float32) -> tuple[onnx.ModelProto, list[Outputs]]:
    """Return the traced graph and what torch gives out for the probe.

    The graph is fixed to the probe's shape; its ends are called ``input`` and ``output``.

    Tracing runs the network once anyway: on the probe, and its output is kept, it saves one of the
    two torch inferences of an export (8 of 20 s of CPU time on x4plus-anime-6b).
    """
    outputs: list[torch.Tensor] = []

    def keep(_module: object, _inputs: object, output: torch.Tensor) -> None:
        outputs.append(output)

    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        temporary_folder("export") as folder,
        generator.register_forward_hook(keep),
    ):
        path = folder / "traced.onnx"
        # We ask for the TorchScript exporter on purpose; see the decision record.
        for message in (
            "You are using the legacy TorchScript-based",
            "The feature will be removed",
        ):
            warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        torch.onnx.export(
            generator,
            (torch.tensor(probe),),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )
        return onnx.load(path), [
            {OUTPUT_NAME: output.contiguous().numpy()} for output in outputs[:1]
        ]


def _against_torch(
    outputs: Sequence[Outputs],
    expected: Sequence[Outputs],
    traced: onnx.ModelProto,
    probes: Sequence[Float32],
) -> Equivalence:
    agree = partial(require_equivalent, expected=expected, min_psnr_db=MIN_PSNR_DB)
    try:
        return agree(outputs, parties="the graph and torch")
    except GraphError as error:
        agree(outputs_of(traced, probes), parties="the graph as traced and torch")
        raise GraphError(f"simplifying the traced graph changed it: {error}") from error


def _run_torch(generator: torch.nn.Module, probes: Sequence[Float32]) -> list[Outputs]:
    with torch.no_grad():
        drawn = [generator(torch.from_numpy(probe)) for probe in probes]
    return [{OUTPUT_NAME: output.contiguous().numpy()} for output in drawn]
