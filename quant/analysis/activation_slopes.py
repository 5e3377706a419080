"""Find the slopes of an activation, and what calibration saw on both of its sides.

    LeakyRelu, PRelu, Relu     y = x for x >= 0, slope * x below

A LeakyReLU has one slope, a PReLU one for each channel or one for all, a ReLU the slope 0.
"""

import numpy as np
import onnx

from calib.arrays import Float64
from calib.graph import GraphIndex
from quant.analysis.tensor_distributions import (
    ObservationRules,
    TensorDistributions,
    leaky_slope,
)
from quant.numerics.affine import IntegerType, covered_range
from quant.numerics.pre_activation_scale import Activated, Affine

# Points that stand for the values of a histogram bin, evenly spread: a channel's bins are wider
# than the steps of the grids to be judged.
_POINTS = 2


def activation_slopes(index: GraphIndex, node: onnx.NodeProto, channels: int) -> Float64 | None:
    """Return the slope of each channel, float64 ``[channels]``.

    Returns:
        ``None`` if the node is no such activation, or its slopes are no constants of channels.
    """
    if node.op_type == "Relu":
        return np.zeros(channels)
    if node.op_type == "LeakyRelu":
        return np.full(channels, leaky_slope(node))
    slopes = index.constant(node.input[1]) if node.op_type == "PRelu" else None
    if slopes is None or slopes.size not in {1, channels}:
        return None
    return np.broadcast_to(slopes.astype(np.float64).reshape(-1), (channels,))


def slopes_behind(rules: ObservationRules, tensor: str) -> Float64 | None:
    """Return the slope of each channel of the activation that reads an observed tensor.

    Returns:
        ``None`` where no such activation does, and behind a LeakyReLU that can be undone: its input
        follows from its output.
    """
    activation = rules.topology.activation_of(tensor)
    shape = rules.topology.index.shape(tensor)
    if activation is None or shape is None or rules.leaky_reader(tensor) is not None:
        return None
    return activation_slopes(rules.topology.index, activation, shape[1])


def activated_values(
    distributions: TensorDistributions, tensor: str, slopes: Float64, points: int = _POINTS
) -> Activated:
    """Return the values on both sides of the activation that reads a tensor, as equalized.

    Args:
        distributions: of all tensors.
        tensor: the activation's input, which was observed.
        slopes: float64 ``[C]``, of its channels.
        points: how many stand for the values of a histogram bin, evenly spread.

    Raises:
        CalibrationError: the table lacks the tensor.
    """
    channels = distributions.statistics_of(tensor).channels
    edges = channels.edges() / np.reshape(distributions.factors.get(tensor, 1.0), (-1, 1))
    parts = (np.arange(points) + 0.5) / points
    values = edges[:, :-1, np.newaxis] + np.diff(edges)[:, :, np.newaxis] * parts
    counts = np.broadcast_to(channels.counts[:, :, np.newaxis] / points, values.shape)
    filled = counts > 0
    by_value = np.broadcast_to(slopes[:, np.newaxis, np.newaxis], values.shape)
    return Activated.of(values[filled], by_value[filled], counts[filled])


def clipped_share(
    distributions: TensorDistributions, tensor: str, low: float, high: float, step: float
) -> float:
    """Return the share of the values that calibration saw and a QDQ pair clips, in [0, 1].

    A value is clipped if it lies more than half a step beyond the range; before an activation, if
    what leaves that is moved by more: a ReLU makes the same of all that is below 0, and a
    LeakyReLU of slope 0.1 takes a tenth of what is missing there.

    Args:
        distributions: of all tensors.
        tensor: the one that is quantized.
        low: smallest value that the pair can hold.
        high: largest.
        step: its scale.

    Raises:
        CalibrationError: the table lacks the tensor.
    """
    slopes = slopes_behind(distributions.rules, tensor)
    if slopes is None:
        values = distributions.distribution(tensor)
        below = step / 2 / _slope_below(distributions.rules, tensor)
        return sum(values.clipped_shares(low - below, high + step / 2))
    seen = activated_values(distributions, tensor, slopes)
    kept = np.clip(seen.inputs, low, high)
    moved = np.abs(np.where(kept < 0.0, kept * seen.slopes, kept) - seen.outputs) > step / 2
    return float(seen.counts[moved].sum() / seen.counts.sum())


def clipped_on_grid(
    distributions: TensorDistributions, tensor: str, affine: Affine, integer: IntegerType
) -> float:
    """Return the share of the values that calibration saw and a pair of that grid clips."""
    low, high = covered_range(affine.scale, affine.zero_point, integer)
    return clipped_share(distributions, tensor, low, high, affine.scale)


def _slope_below(rules: ObservationRules, tensor: str) -> float:
    """Return the slope of the LeakyReLU that alone reads a tensor; 1 where none does."""
    activation = rules.leaky_reader(tensor)
    alone = rules.topology.activation_of(tensor) is not None
    return leaky_slope(activation) if activation is not None and alone else 1.0
