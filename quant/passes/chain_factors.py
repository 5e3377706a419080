"""Equalize a chain of convolutions and PReLUs or ReLUs, each of which reads the one before alone.

Each tensor's factors are those of the least error behind the next convolution
(quant/numerics/channel_factors.py). How much a squared error of a channel counts at the end of the
chain is told by the weights: behind convolution and activation,

    r_o = g_o (P(v_o >= 0) + a_o^2 P(v_o < 0))        g_i = sum over o of r_o |W_oi|^2

with r = 1 for what the last convolution gives out. On animevideov3 and general-x4v3 that and the
mean squared gradient of the output have a correlation of 0.95 and more.

What the first convolution makes of flat colours counts beside what calibration saw of it
(quant/analysis/flat_colours.py): animevideov3 has a channel that no other picture of 18 drives as
far as one of magenta flowers does, which gained 2.6 dB by it and no other lost any.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import Float64
from calib.graph import GraphIndex
from quant.analysis.activation_slopes import slopes_behind
from quant.analysis.flat_colours import flat_colour_range
from quant.analysis.scale_absorbers import convolution_can_absorb_scale
from quant.analysis.tensor_distributions import TensorDistributions
from quant.numerics.channel_factors import STEPS_PER_OCTAVE, Channels, choose_factors
from quant.numerics.clipping_weights import BORDER_ON_FLOAT
from quant.numerics.grids import Grids
from quant.passes.equalize import equalized_tensors
from quant.passes.reversal import reversible_slopes

# Share of a channel's values that the least, and the largest, response to a flat colour counts as.
_COLOURS = 1e-3
# How far from their mean factors may lie, in octaves: fp16 keeps normal numbers.
_LIMIT = 6


@dataclass(frozen=True, eq=False)
class _Link:
    """A convolution's output, with what its activation makes of it and what reads that.

    Attributes:
        convolution: the node.
        slopes: float64 ``[C]``, of the activation.
        readers: the convolutions behind it.
    """

    convolution: onnx.NodeProto
    slopes: Float64
    readers: tuple[onnx.NodeProto, ...]

    @property
    def tensor(self) -> str:
        """The convolution's output."""
        return self.convolution.output[0]


def chain_factors(
    distributions: TensorDistributions, grids: Grids, *, float_head: bool, turn: bool
) -> dict[str, Float64] | None:
    """Return what each convolution's output is divided by, float64 ``[C]``.

    Args:
        distributions: of the tensors of a graph.
        grids: around its activations.
        float_head: convolutions that see the picture run in float, and what they make is rounded
            behind its activation alone.
        turn: channels may be turned round a PReLU; their factors are negative.

    Returns:
        ``None`` if the graph is no chain: something else than an activated convolution makes a
        tensor that could be equalized, or something else than convolutions reads it.

    Raises:
        CalibrationError: the table lacks a tensor.
    """
    topology = distributions.rules.topology
    links = _links(distributions)
    if links is None:
        return None
    index = topology.index
    reversible = {found.node.input[0] for found in reversible_slopes(index)} if turn else set()
    at_float = Grids(grids.symmetric, before_activation=False, clipping_weight=BORDER_ON_FLOAT)
    gains: dict[str, Float64] = {}
    factors: dict[str, Float64] = {}
    for link in reversed(links):
        channels = _channels(distributions, link, gains, turn=link.tensor in reversible)
        in_float = float_head and topology.part(link.convolution) == "head"
        gains[link.tensor] = channels.gains_before
        factors[link.tensor] = _factors(channels, at_float if in_float else grids)
    changed = {name: found for name, found in factors.items() if (found != 1.0).any()}
    return dict(reversed(changed.items()))


def _links(distributions: TensorDistributions) -> list[_Link] | None:
    """Return all tensors to equalize with what lies behind; ``None`` where they are no chain."""
    rules, index = distributions.rules, distributions.rules.topology.index
    links: list[_Link] = []
    for tensor in equalized_tensors(index.model):
        convolution, activation = index.producer(tensor), rules.topology.activation_of(tensor)
        slopes = slopes_behind(rules, tensor)
        if convolution is None or activation is None or slopes is None:
            return None
        readers = index.consumers(activation.output[0])
        if not readers or not all(convolution_can_absorb_scale(index, node) for node in readers):
            return None
        links.append(_Link(convolution, slopes, readers))
    return links or None


def _weight(index: GraphIndex, node: onnx.NodeProto) -> Float64:
    weight = index.initializer(node.input[1])
    assert weight is not None  # it can absorb a scale
    return weight.astype(np.float64).reshape(*weight.shape[:2], -1)


def _channels(
    distributions: TensorDistributions,
    link: _Link,
    gains: Mapping[str, Float64],
    *,
    turn: bool,
) -> Channels:
    """Return a link's channels; ``gains`` says how much errors of what reads them count."""
    index = distributions.rules.topology.index
    weights = [_weight(index, node) for node in link.readers]
    rows = [
        gains.get(node.output[0], np.ones(len(weight)))
        for node, weight in zip(link.readers, weights, strict=True)
    ]
    values, shares = _seen(distributions, link)
    return Channels(
        values=values,
        shares=shares,
        slopes=link.slopes,
        reversible=np.full(len(link.slopes), turn),
        largest=np.concatenate([np.abs(weight).max(axis=2) for weight in weights]),
        squares=np.concatenate([np.square(weight).sum(axis=2) for weight in weights]),
        taps=max(weight.shape[2] for weight in weights),
        rows=np.concatenate(rows),
    )


def _seen(distributions: TensorDistributions, link: _Link) -> tuple[Float64, Float64]:
    """Return values ``[C, N]`` before the activation, ascending, and the share of each."""
    observed = distributions.statistics_of(link.tensor).channels
    edges, counts = observed.edges(), observed.counts.astype(np.float64)
    values = (edges[:, :-1] + edges[:, 1:]) / 2.0
    shares = counts / counts.sum(axis=1, keepdims=True)
    colours = flat_colour_range(distributions.rules.topology.index, link.convolution)
    if colours is None:
        return values, shares
    values = np.concatenate([values, colours], axis=1)
    shares = np.concatenate([shares, np.full(colours.shape, _COLOURS)], axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    shares = np.take_along_axis(shares, order, axis=1)
    return np.take_along_axis(values, order, axis=1), shares / shares.sum(axis=1, keepdims=True)


def _factors(channels: Channels, grids: Grids) -> Float64:
    """Return what the channels are divided by before their activation, of unchanged mean size."""
    chosen = choose_factors(channels, grids)
    moved = chosen.exponents - int(np.rint(chosen.exponents.mean()))
    limit = _LIMIT * STEPS_PER_OCTAVE
    behind = np.exp2(moved.clip(-limit, limit) / STEPS_PER_OCTAVE)
    before = np.divide(behind, np.abs(channels.slopes), out=behind.copy(), where=chosen.reversed)
    return np.where(chosen.reversed, -before, behind)
