"""Divide channels by known factors, in the constants of what makes and reads them.

    Conv    row o of the weight and bias[o] are divided by f of output channel o, column i of the
            weight is multiplied by f of input channel i
    Mul     a residual scale's constant c[k] is multiplied by f_in[k] / f_out[k]
    PRelu   the slope of a channel that is turned round becomes its reciprocal
            (quant/passes/reversal.py): f is negative before it, and another one behind it

Only constants change: nodes and names stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import numpy_helper

from calib.arrays import Float64
from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.scale_absorbers import convolution_can_absorb_scale, residual_scales
from quant.passes.equalization_sets import ChannelClasses, channel_classes
from quant.passes.fold import Folded
from quant.passes.reversal import reversible_slopes


@dataclass(frozen=True, eq=False)
class Equalized:
    """A rescaled graph.

    Attributes:
        model: nodes and names of the original; other weights, biases, residual scales and slopes.
        factors: convolution output to float64 ``[C]``: what its channels were divided by, negative
            for those that are turned round. Convolutions whose output kept its scale are left out.
        tensors: the same for every tensor with a channel that was rescaled.
    """

    model: onnx.ModelProto
    factors: Mapping[str, Float64]
    tensors: Mapping[str, Float64]

    def behind(self, folded: Folded) -> "Equalized":
        """Return the same with ``tensors`` against the graph before ``folded``, its original."""
        tensors = {
            name: np.multiply(folded.tensors.get(name, 1.0), self.tensors.get(name, 1.0))
            for name in {**folded.tensors, **self.tensors}
        }
        return replace(self, tensors=tensors)


def rescale(model: onnx.ModelProto, factors: Mapping[str, Sequence[float] | Float64]) -> Equalized:
    """Rescale channels by known factors.

    Args:
        model: the float graph; it is not changed.
        factors: what ``Equalized.factors`` held: convolution output to one factor per channel.

    Raises:
        GraphError: a factor is 0, negative where nothing can be turned round, has no channel, or
            contradicts another's.
    """
    index = GraphIndex(model)
    classes = channel_classes(index)
    by_class = np.ones(classes.count)
    slopes = {found.node.input[0]: found.values for found in reversible_slopes(index)}
    for tensor, given in factors.items():
        found = classes.of.get(tensor, np.zeros(0, np.int64))
        values = np.asarray(given, np.float64)
        turns = np.not_equal(slopes.get(tensor, np.zeros(found.shape)), 0.0)
        known = np.isfinite(values) & (values != 0.0)
        if values.shape != found.shape or not (known & ((values > 0.0) | turns)).all():
            raise GraphError(
                f"tensor {tensor!r} has {len(found)} channels to rescale, found the factors "
                f"{list(given)[:4]} of {len(values)}; expected one positive number for each, or a "
                "negative one before a PReLU of a slope of its own"
            )
        by_class[found] = values
    result = rescaled(index, classes, by_class)
    kept = {tensor: list(values) for tensor, values in result.factors.items()}
    if by_class[classes.pinned] != 1.0 or kept != {t: list(v) for t, v in factors.items()}:
        raise GraphError("the factors contradict one another: channels that are added share one")
    return result


def rescaled(index: GraphIndex, classes: ChannelClasses, factors: Float64) -> Equalized:
    """Divide the channels of each set by one factor.

    Args:
        index: the float graph; it is not changed.
        classes: its channels by the set they belong to.
        factors: float64 ``[classes]``, negative only where channels can be turned round.
    """
    model = onnx.ModelProto()
    model.CopyFrom(index.model)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    tensors = {name: factors[numbers] for name, numbers in classes.of.items()}
    for slopes in reversible_slopes(index):
        before = tensors[slopes.node.input[0]]
        if (before < 0.0).any():
            tensors[slopes.node.output[0]] = slopes.behind(before)
            shape = stored[slopes.constant].dims
            _store(stored[slopes.constant], slopes.turned(before).reshape(shape))
    divisors: dict[str, Float64] = {}
    for node in index.nodes:
        if not convolution_can_absorb_scale(index, node):
            continue
        weight = index.initializer(node.input[1])
        assert weight is not None
        incoming = tensors.get(node.input[0], np.ones(weight.shape[1]))
        outgoing = tensors.get(node.output[0], np.ones(weight.shape[0]))
        spread = (1,) * (weight.ndim - 2)
        scaled = weight * incoming.reshape(1, -1, *spread) / outgoing.reshape(-1, 1, *spread)
        _store(stored[node.input[1]], scaled)
        if len(node.input) > 2 and node.input[2]:
            bias = index.initializer(node.input[2])
            assert bias is not None
            _store(stored[node.input[2]], bias / outgoing)
        if (outgoing != 1.0).any():
            divisors[node.output[0]] = outgoing
    for scale in residual_scales(index):
        incoming, outgoing = tensors[scale.input], tensors[scale.output]
        if (incoming != outgoing).any():
            rank = len(index.shape(scale.output) or ())
            values = scale.values * incoming / outgoing
            _store(stored[scale.constant], values.reshape(-1, *[1] * (rank - 2)))
    changed = {name: found for name, found in tensors.items() if (found != 1.0).any()}
    return Equalized(model, divisors, changed)


def _store(target: onnx.TensorProto, values: Float64) -> None:
    target.CopyFrom(numpy_helper.from_array(values.astype(np.float32), target.name))
