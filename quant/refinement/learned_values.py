"""Turn what was learned into what a file stores: codes, biases and scales that are allowed.

Whatever the gradient found, a file holds int8 weights within the target's limits and near their
float weights, biases that those explain, and scales that verification takes for learned ones.
A channel whose weights left what is allowed goes back to those that GPTQ chose for it.
"""

import numpy as np
import onnx

from calib.arrays import Float64, Int8
from quant.numerics.half import stored_scales
from quant.passes.prepared import PreparedGraph
from quant.qdq.int8_weights import RoundedWeights
from quant.refinement.network import TorchNetwork
from quant.refinement.recorded_scales import (
    MOST,
    LearnedScales,
    free_scales,
    learned_scale,
    smallest_weight_scales,
)
from quant.rounding.gptq import DRIFT_LIMIT, code_drift
from quant.rounding.recorded_codes import bias_room, exclusive_bias, on_stored_grid


def learned_scales(
    network: TorchNetwork, prepared: PreparedGraph, smallest: Float64
) -> LearnedScales:
    """Return the scales that a network has come to, each one that is allowed.

    Args:
        network: learned.
        prepared: the graph that it was made of.
        smallest: by how much each free scale may shrink.
    """
    factors = network.learned.scale_logs.detach().exp().cpu().numpy().clip(smallest, MOST)
    edges = prepared.plan.edges
    activations = {
        name: learned_scale(prepared.plan, edges[name].scale, factor, least)
        for names, factor, least in zip(free_scales(prepared), factors, smallest, strict=True)
        for name in names
    }
    weights = {}
    for name, logs in network.learned.weight_logs.items():
        quant = prepared.plan.weights[name]
        scales = quant.scale_array * np.exp(logs.detach().cpu().numpy())
        floor = smallest_weight_scales(prepared, quant, activations)
        scales = scales if floor is None else np.maximum(scales, floor)
        weights[name] = stored_scales(scales, prepared.plan.float_type)
    return LearnedScales(activations, weights)


def learned_weights(
    network: TorchNetwork, prepared: PreparedGraph, before: RoundedWeights
) -> RoundedWeights:
    """Return int8 weights and biases that a network has come to, each one that is allowed.

    Args:
        network: learned.
        prepared: the graph that it was made of, under the plan with the learned scales.
        before: what GPTQ chose.
    """
    index, plan = prepared.index, prepared.plan
    codes: dict[str, Int8] = {}
    biases: dict[str, Float64] = dict(before.biases)
    for name, steps in network.learned.steps.items():
        quant = plan.weights[name]
        rounded = quant.limits.round_to_nearest(steps.detach().cpu().numpy())
        weight = index.constant(name)
        assert weight is not None  # planned as one
        far = code_drift(weight, rounded, quant.scale_array, quant.limits) > DRIFT_LIMIT
        rounded[far] = before.codes[name][far]
        codes[name] = rounded
        bias = exclusive_bias(index, _convolution(prepared, name))
        if bias is not None and bias in biases:
            original, room = bias_room(index, plan, name, rounded)
            found = network.bias(bias).detach().cpu().numpy().astype(np.float64)
            held = found.clip(original - room, original + room)
            biases[bias] = on_stored_grid(index, plan, name, bias, held)
    return RoundedWeights(codes, biases, before.nearest)


def _convolution(prepared: PreparedGraph, weight: str) -> onnx.NodeProto:
    quant = prepared.plan.weights[weight]
    return next(n for n in prepared.index.consumers(weight) if n.name == quant.node)
