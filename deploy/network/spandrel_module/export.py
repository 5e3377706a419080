"""Make a float model of a module that spandrel built, proven to draw what the module draws.

own       the module alone = spandrel's description of it, which may do more: then it has no graph
trace     torch's TorchScript exporter, as for networks of ours (deploy/network/export.py)
spell     our names, the graph in normal form, as for an ONNX file (deploy/network/onnx_file)
prove     the result = the module in torch, on every probe
"""

import warnings
from collections.abc import Sequence

import numpy as np
import onnx

from calib.arrays import Float32
from calib.errors import GraphError
from deploy.network.export import trace
from deploy.network.exported import MIN_PSNR_DB, ExportedModel, half_noise, named
from deploy.network.native_output import native_output_dropped
from deploy.network.onnx_file.export import in_our_form
from deploy.network.onnx_file.likeness import scale_of, tell_unlikeness
from deploy.network.spandrel_module.library import SpandrelModule
from quant.passes.equivalence import Probe, outputs_of, require_equivalent


def export_module(
    network: SpandrelModule, pictures: Sequence[Float32], source: str
) -> ExportedModel:
    """Make the float model of a module for the size of some pictures, and prove it on them.

    Args:
        network: the module.
        pictures: real images, float32 ``[1,3,H,W]`` in [0,1], all of one shape.
        source: file name for messages.

    Raises:
        GraphError: torch cannot export it, it draws no enlarged picture, or the result draws
            another.
    """
    inputs = half_noise(pictures)
    expected = [network.draw(values) for values in inputs]
    scale_of(inputs[0], expected[0], source)
    require_equivalent(
        named([np.clip(drawn, 0, 1) for drawn in expected]),
        named([network.draw_by_spandrel(values) for values in inputs]),
        min_psnr_db=MIN_PSNR_DB,
        parties=f"the module of {source} and what spandrel makes of it beside",
    )
    notes = tell_unlikeness(network.draw, pictures[0], source)
    model = in_our_form(_traced(network, inputs[0], source), inputs[0].shape, source)
    outputs = outputs_of(model, inputs)
    proven = require_equivalent(
        outputs, named(expected), min_psnr_db=MIN_PSNR_DB, parties="the graph and torch"
    )
    probes = tuple(map(Probe, inputs, outputs))
    return ExportedModel(model, proven, probes, tuple(expected), notes)


def _traced(network: SpandrelModule, probe: Float32, source: str) -> onnx.ModelProto:
    with warnings.catch_warnings(), native_output_dropped():
        # What torch warns of is a graph of another size, or a wrong one: it is proven at this one.
        warnings.simplefilter("ignore")
        try:
            model, _ = trace(network.module, probe)
        except Exception as error:  # what torch's exporter raises shares no base class
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GraphError(
                f"torch cannot export {source} ({network.architecture}): {reason}"
            ) from error
    return model
