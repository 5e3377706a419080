"""Derive the distribution of every tensor of a float graph from its calibration table.

Observing costs time and memory, so only tensors that nothing else determines are observed:

    LeakyReLU        input follows from output: x = y for y >= 0, y / slope below (a monotone
                     bijection, so percentiles commute with it)
    Mul by c > 0     output follows from input: scaled by c; equalized, by one c per channel,
                     which the histograms of the input's channels follow
    Concat           output follows from the inputs: merged
    Resize nearest   output follows from input: the same values, each repeated equally often
    Reshape, Transpose, DepthToSpace, SpaceToDepth, Flatten, Identity: the same values
    Slice            taken to be the same: it cuts off the border of an enlarged picture

What a convolution reads is described channel by channel; where one of the last line makes it, which
may have moved values from one channel to another, it is observed: behind a pixel-unshuffle.

A PReLU has a slope per channel, which a histogram over all channels cannot undo: its input is
observed. The picture and the network's output are observed too, for the report's sake; the
quantized range of pictures is [0, 1] whatever was seen (percentile clipping there darkens white:
OpenPPL/ppq issue 480).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from calib.arrays import Float64
from calib.channels import ChannelHistograms
from calib.errors import CalibrationError
from calib.graph import GraphIndex, attribute_of
from calib.histogram import Histogram
from calib.statistics import TensorStatistics
from quant.analysis.scale_absorbers import residual_scale
from quant.analysis.topology import MOVERS, Topology, keeps_values
from quant.numerics.distribution import Distribution, merge

PINNED_RANGE = (0.0, 1.0)

_POINTS = 2048
_KEEP_CHANNELS = {"Concat", "Identity"}


def observed_tensors(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the tensors to observe, in topological order: the others follow from them.

    Raises:
        GraphError: nodes without a name of their own.
    """
    rules = ObservationRules(Topology(GraphIndex(model)))
    topology = rules.topology
    tensors = [*topology.index.inputs]
    tensors += [name for node in topology.operators for name in node.output if name]
    return tuple(tensor for tensor in tensors if not rules.sources(tensor))


@dataclass(frozen=True, eq=False)
class ObservationRules:
    """Which tensors' distributions follow from which others.

    Attributes:
        topology: the graph.
    """

    topology: Topology

    def sources(self, tensor: str) -> tuple[str, ...]:
        """Return the tensors that ``tensor`` follows from; empty if it must be observed."""
        activation = self.leaky_reader(tensor)
        if activation is not None:
            return (activation.output[0],)
        producer = self.topology.index.producer(tensor)
        if producer is None:
            return ()
        if producer.op_type == "Concat" or producer.op_type in MOVERS:
            given = not self._must_be_observed(producer, tensor)
        else:
            given = self.positive_factor(producer) is not None
        return self.topology.data_inputs(producer) if given else ()

    def _must_be_observed(self, mover: onnx.NodeProto, tensor: str) -> bool:
        """Tell whether a resize makes new values, or a convolution needs what is regrouped."""
        if mover.op_type == "Resize":
            return not keeps_values(mover)
        readers = self.topology.readers(tensor)
        return mover.op_type not in _KEEP_CHANNELS and any(n.op_type == "Conv" for n in readers)

    def derive(self, tensor: str, known: Mapping[str, Distribution]) -> Distribution:
        """Return the distribution of ``tensor`` from those of its ``sources``."""
        activation = self.leaky_reader(tensor)
        if activation is not None:
            return known[activation.output[0]].before_leaky(leaky_slope(activation))
        parts = [known[source] for source in self.sources(tensor)]
        producer = self.topology.index.producer(tensor)
        factor = None if producer is None else self.positive_factor(producer)
        return parts[0].scaled(factor) if factor is not None else merge(parts)

    def positive_factor(self, node: onnx.NodeProto) -> float | None:
        """Return c of a multiplication by one constant c > 0, else ``None``."""
        if node.op_type != "Mul":
            return None
        constants = [self.topology.index.constant(name) for name in node.input]
        values = [value for value in constants if value is not None and value.size == 1]
        if len(values) != 1 or not float(values[0].reshape(())) > 0.0:
            return None
        return float(values[0].reshape(()))

    def leaky_reader(self, tensor: str) -> onnx.NodeProto | None:
        """Return the LeakyReLU that reads ``tensor`` and can be undone, if there is one."""
        for reader in self.topology.readers(tensor):
            if reader.op_type == "LeakyRelu" and 0.0 < leaky_slope(reader) <= 1.0:
                return reader
        return None


@dataclass(frozen=True, eq=False)
class TensorDistributions:
    """Distributions of all tensors of a graph, made on demand.

    Attributes:
        rules: what follows from what.
        statistics: of the observed tensors.
        factors: tensor to float64 ``[C]``, what its channels are divided by before they are
            quantized; a tensor that is missing is quantized as it was observed.
    """

    rules: ObservationRules
    statistics: Mapping[str, TensorStatistics]
    factors: Mapping[str, Float64] = field(default_factory=dict)
    _known: dict[str, Distribution] = field(default_factory=dict, init=False, repr=False)

    def distribution(self, tensor: str) -> Distribution:
        """Return the distribution of ``tensor``.

        Raises:
            CalibrationError: the table lacks a tensor it would have to hold.
        """
        if tensor not in self._known:
            sources = self.rules.sources(tensor)
            if sources:
                for source in sources:
                    self.distribution(source)
                self._known[tensor] = self.rules.derive(tensor, self._known)
            else:
                self._known[tensor] = self._observed(tensor)
        return self._known[tensor]

    def _observed(self, tensor: str) -> Distribution:
        index = self.rules.topology.index
        producer = index.producer(tensor)
        if tensor not in self.statistics and producer is not None:
            scale = residual_scale(index, producer)
            if scale is not None:
                divisors = self.factors.get(scale.input, 1.0) / scale.values
                return distribution_of_channels(self.statistics_of(scale.input).channels, divisors)
        found = self.statistics_of(tensor)
        factors = self.factors.get(tensor)
        if factors is None:
            return distribution_of(found.histogram)
        return distribution_of_channels(found.channels, factors)

    def statistics_of(self, tensor: str) -> TensorStatistics:
        """Return what was observed of ``tensor``, before any equalization.

        Raises:
            CalibrationError: the table lacks it.
        """
        if tensor not in self.statistics:
            raise CalibrationError(
                f"the calibration table holds no statistics of {tensor!r}; calibrate this graph"
            )
        return self.statistics[tensor]


def distribution_of(histogram: Histogram) -> Distribution:
    """Return the histogram's filled bins as values at their centres."""
    centres = (histogram.edges[:-1] + histogram.edges[1:]) / 2.0
    filled = histogram.counts > 0
    return Distribution(
        centres[filled],
        histogram.counts[filled].astype(np.float64),
        histogram.minimum,
        histogram.maximum,
    )


def distribution_of_channels(channels: ChannelHistograms, factors: Float64) -> Distribution:
    """Return the distribution of all channels together, each divided by its factor of either sign.

    Values are taken as spread evenly over their bin; the result is counted on ``_POINTS`` bins.
    """
    edges = channels.edges() / factors[:, np.newaxis]
    low, high = float(edges.min()), float(edges.max())
    width = (high - low) / _POINTS or 1.0
    # Grid lines at multiples of the width keep what is below zero apart from what is above.
    grid = np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
    below = np.zeros_like(grid)
    for channel, numbers, factor in zip(edges, channels.counts, factors, strict=True):
        way = 1 if factor > 0.0 else -1
        below += np.interp(grid, channel[::way], np.append(0, np.cumsum(numbers[::way])))
    counts = np.diff(below)
    counts[0] += below[0]
    filled = counts > 0
    centres = np.clip((grid[:-1] + grid[1:]) / 2.0, low, high)
    return Distribution(centres[filled], counts[filled], low, high)


def leaky_slope(node: onnx.NodeProto) -> float:
    """Return the slope of a LeakyReLU; ONNX's default is 0.01."""
    return float(attribute_of(node, "alpha", 0.01))
