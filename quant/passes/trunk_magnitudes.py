"""Choose how channels of a residual trunk compare where every tensor of it is quantized.

Each channel of a trunk has one factor f, from the first convolution through all additions
(quant/passes/equalization_sets.py). Each tensor t along it has a step s_t and a zero point. What is
lost is about

    sum over t, k of  R_t,k E_t,k(f_k s_t)

with the error E of rounding and clipping channel k with a step (quant/numerics/channel_steps.py).
R stands for what the network makes of an error. An error in the trunk goes along it, and each
convolution that meets it hands it on:

    P_t,k = sum over the convolutions that read t, or what additions and multiplications by g make
            of it, of  g^2 |W_k|^2 / mean over k of |W_k|^2
    R_t,k = sqrt(P_t,k * mean over k of P_t,k)

with the weights W_k of input channel k. The mean over channels goes with the output's mean squared
gradient, on x4plus-anime-6b from 40 at the first convolution to 1 behind the last block, on x4plus
likewise; its channels differ by about the root of what P's do.

Factors, and steps with zero points, are chosen by turns, the others held.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import Bool, Float64, Int64
from calib.graph import GraphIndex
from quant.analysis.channel_magnitudes import HALF_SPAN
from quant.analysis.topology import ACTIVATIONS
from quant.numerics.channel_steps import STEPS_PER_OCTAVE, StepErrors

_ROUNDS = 8
_PASSING = {"Add", "Resize", "Identity", *ACTIVATIONS}
_REACH = np.arange(-2 * STEPS_PER_OCTAVE, 2 * STEPS_PER_OCTAVE + 1)


@dataclass(frozen=True, eq=False)
class TrunkTensor:
    """One tensor of a trunk.

    Attributes:
        name: of the tensor.
        weights: float64 ``[C]``, how much the error of each channel counts.
        errors: of its channels.
    """

    name: str
    weights: Float64
    errors: StepErrors


def trunk_magnitudes(tensors: Sequence[TrunkTensor]) -> dict[str, Float64]:
    """Return magnitudes float64 ``[C]`` by tensor: how channels compare is the same in all.

    Args:
        tensors: with channels that share factors.
    """
    if not tensors:
        return {}
    living = np.any([tensor.errors.living for tensor in tensors], axis=0)
    best = np.stack([tensor.errors.best for tensor in tensors]).astype(np.float64)
    totals = np.array([tensor.weights.sum() for tensor in tensors])[:, np.newaxis]
    factors = _centred((best * totals).sum(axis=0) / totals.sum(), living)
    for _ in range(_ROUNDS):
        costs = np.zeros((len(factors), len(_REACH)))
        for tensor in tensors:
            zero, step = _grid(tensor, factors)
            exponents = (step + factors)[:, np.newaxis] + _REACH
            costs += tensor.weights[:, np.newaxis] * tensor.errors.at(exponents)[zero]
        moved = _centred(factors + _REACH[costs.argmin(axis=1)], living)
        if (moved == factors).all():
            break
        factors = moved
    relative = np.exp2(factors / STEPS_PER_OCTAVE)
    return {
        tensor.name: HALF_SPAN * np.exp2(_grid(tensor, factors)[1] / STEPS_PER_OCTAVE) * relative
        for tensor in tensors
    }


def _grid(tensor: TrunkTensor, factors: Int64) -> tuple[int, int]:
    """Return the best zero point and the exponent of the best step of a tensor."""
    errors = tensor.errors
    last = errors.first + errors.errors.shape[2]
    steps = np.arange(errors.first - factors.max(), last - factors.min())
    found = np.einsum("c,zcs->zs", tensor.weights, errors.at(factors[:, np.newaxis] + steps))
    zero, step = np.unravel_index(int(found.argmin()), found.shape)
    return int(zero), int(steps[step])


def _centred(factors: Float64 | Int64, living: Bool) -> Int64:
    """Return whole exponents with mean 0; a channel without values keeps its scale."""
    if not living.any():
        return np.zeros(len(factors), np.int64)
    return np.where(living, np.rint(factors - factors[living].mean()), 0.0).astype(np.int64)


def reading_weights(index: GraphIndex) -> dict[str, Float64]:
    """Return R of every tensor that a convolution reads on, ``[C]``."""
    powers: dict[str, Float64] = {}
    for node in reversed(index.nodes):
        behind = powers.get(node.output[0])
        for name in filter(None, node.input):
            passed = None if index.is_constant(name) else _passed(index, node, name, behind)
            if passed is not None:
                powers[name] = powers[name] + passed if name in powers else passed
    return {name: np.sqrt(power * power.mean()) for name, power in powers.items()}


def _passed(
    index: GraphIndex, node: onnx.NodeProto, tensor: str, behind: Float64 | None
) -> Float64 | None:
    """Return what a node adds to P of a tensor that it reads; ``behind`` is P of its output."""
    shape = index.shape(tensor)
    if shape is None or len(shape) < 2:
        return None
    passed = behind
    if node.op_type == "Conv":
        weight = index.constant(node.input[1])
        passed = np.ones(shape[1])
        if weight is not None and weight.shape[1] == shape[1] and weight.any():
            power = np.square(weight, dtype=np.float64).sum(axis=(0, *range(2, weight.ndim)))
            passed = power / power.mean()
    elif node.op_type == "Mul":
        constants = [index.constant(name) for name in node.input]
        gains = [value for value in constants if value is not None]
        if behind is None or len(gains) != 1:
            return None
        passed = behind * float(np.mean(np.square(gains[0], dtype=np.float64)))
    elif node.op_type not in _PASSING:
        return None
    return passed if passed is not None and len(passed) == shape[1] else None
