"""Say how large the channels are that equalization brings to one size, for grids of 8 bits.

Channels of a tensor that one convolution makes compare as their own best steps do
(quant/analysis/channel_magnitudes.py). Those of a residual trunk compare as the additions would
have them where these are rounded too (quant/passes/trunk_magnitudes.py).

Steps are finer than those that hold the largest values, and clip more of pictures unlike those
calibrated on. That pays on symmetric grids, which have one step for both signs, and where there is
a trunk (quant/numerics/clipping_weights.py), so only those are equalized by it (quant/planner.py).
"""

import onnx

from calib.arrays import Float64
from calib.graph import GraphIndex
from quant.analysis.channel_magnitudes import channel_magnitudes, step_errors
from quant.analysis.tensor_distributions import TensorDistributions
from quant.numerics.grids import Grids
from quant.passes.equalize import equalized_tensors, trunks
from quant.passes.trunk_magnitudes import TrunkTensor, reading_weights, trunk_magnitudes


def eight_bit_magnitudes(
    model: onnx.ModelProto, distributions: TensorDistributions, grids: Grids, *, trunk_rounded: bool
) -> dict[str, Float64]:
    """Return the magnitudes ``[C]`` that equalization of a graph asks for.

    Args:
        model: the float graph.
        distributions: of its tensors.
        grids: what a target has.
        trunk_rounded: the additions of residual trunks give out 8 bits.

    Raises:
        CalibrationError: the table lacks a tensor they rest on.
    """
    asked = equalized_tensors(model)
    found = {name: channel_magnitudes(distributions, name, grids) for name in asked}
    if trunk_rounded:
        index = GraphIndex(model)
        weights = reading_weights(index)
        for members in trunks(model):
            chosen = trunk_magnitudes(
                [
                    TrunkTensor(name, weights[name], errors)
                    for name in members
                    if name in weights
                    and (errors := step_errors(distributions, name, grids)) is not None
                ]
            )
            found |= {name: chosen[name] for name in chosen if name in found}
    return found
