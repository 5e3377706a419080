"""Choose the quantization of every constant operand.

Weights of integer convolutions get one scale per output channel, large enough for the bias to
fit int32; the other constants of integer operators one scale each; weights left in float may be
stored as fp16.
"""

from collections.abc import Mapping

import numpy as np

from calib.errors import GraphError
from calib.graph import CONVOLUTIONS
from quant.analysis.channel_statistics import channel_statistics
from quant.analysis.tensor_distributions import TensorDistributions
from quant.analysis.topology import RESIDUAL, says_how
from quant.numerics.affine import affine_parameters, bias_scale_floor
from quant.numerics.half import FP16_MAX, stored_scale, stored_scales
from quant.numerics.saturation_limits import SaturationLimits
from quant.numerics.weight_scales import least_error_scales
from quant.plan import ConstantQuant, EdgeQuant, WeightQuant
from quant.planning.qdq_placement import Placement


def plan_weights(
    placement: Placement,
    edges: Mapping[str, EdgeQuant],
    limits: SaturationLimits,
    distributions: TensorDistributions,
) -> dict[str, WeightQuant]:
    """Return the weights of the convolutions that run as integers, by initializer.

    Args:
        placement: which convolutions run as integers.
        edges: quantized activations by the name of their QDQ pair; they bound an int32 bias.
        limits: which int8 values a weight may have.
        distributions: of all tensors; they weigh each input channel by its variance.

    Returns:
        One float32 scale per output channel of each weight, such as a file of the target holds.

    Raises:
        GraphError: two of them share one weight.
    """
    index = placement.topology.index
    through = {(e.tensor, r): e for e in edges.values() for r in e.readers}
    planned: dict[str, WeightQuant] = {}
    for node in placement.topology.operators:
        weight = None if node.op_type != "Conv" else index.constant(node.input[1])
        if weight is None or placement.precision(node) == "float":
            continue
        if node.input[1] in planned:
            raise GraphError(
                f"convolutions {planned[node.input[1]].node!r} and {node.name!r} share the weight "
                f"{node.input[1]!r}; give each a weight of its own"
            )
        bias_name = node.input[2] if len(node.input) > 2 and node.input[2] else None
        if placement.profile.bias != "int32":
            bias_name = None
        floor = None
        bias = None if bias_name is None else index.constant(bias_name)
        if bias is not None:
            floor = bias_scale_floor(bias, through[node.input[0], node.name].scale)
        variance = channel_statistics(distributions, node.input[0]).variance
        if len(variance) != weight.shape[1]:  # a grouped convolution
            variance = np.ones(weight.shape[1])
        chosen = least_error_scales(weight, variance, limits, floor=floor)
        chosen = stored_scales(chosen, placement.profile.float_type)
        planned[node.input[1]] = WeightQuant(
            node.name, tuple(map(float, chosen)), limits.accumulator_bits, bias_name
        )
    return planned


def plan_constants(placement: Placement) -> dict[str, ConstantQuant]:
    """Return the constant operands, other than weights, of operators that run as integers."""
    profile, index = placement.profile, placement.topology.index
    if not profile.quantized_constants:
        return {}
    planned: dict[str, ConstantQuant] = {}
    for node in placement.topology.operators:
        slopes = node.op_type == "PRelu" and profile.quantized_slopes
        precision = placement.precision(node)
        taken = node.op_type in RESIDUAL or placement.is_general(node) or slopes
        if precision == "float" or not taken:
            continue
        for slot, name in enumerate(node.input):
            value = index.constant(name)
            if value is None or value.dtype != np.float32 or says_how(node.op_type, slot):
                continue
            known = planned.get(name)
            readers = (node.name,) if known is None else (*known.readers, node.name)
            integer = profile.integer(precision)
            scale, zero_point = affine_parameters(
                float(value.min()), float(value.max()), integer, symmetric=profile.symmetric
            )
            scale = stored_scale(scale, profile.float_type)
            planned[name] = ConstantQuant(integer.name, scale, zero_point, readers)
    return planned


def half_stored_weights(
    placement: Placement, weights: Mapping[str, WeightQuant]
) -> tuple[str, ...]:
    """Return the convolution weights left in float that fp16 can hold, if the target reads it."""
    if not placement.profile.half_storage:
        return ()
    index = placement.topology.index
    names: dict[str, None] = {}
    for node in placement.topology.operators:
        if node.op_type not in CONVOLUTIONS or node.input[1] in weights:
            continue
        value = index.initializer(node.input[1])
        if value is None:
            continue
        if np.abs(value).max(initial=0.0) <= FP16_MAX:
            names[node.input[1]] = None
    return tuple(names)
