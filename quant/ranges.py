"""A float graph and its calibration table in, the distribution of every edge out.

Observing costs time and memory, so only tensors that nothing else determines are observed:

    LeakyReLU        input follows from output: x = y for y >= 0, y / slope below (a monotone
                     bijection, so percentiles commute with it)
    Mul by c > 0     output follows from input: scaled by c
    Concat           output follows from the inputs: merged
    Resize nearest   output follows from input: the same values, each repeated equally often
    Reshape, Transpose, DepthToSpace, SpaceToDepth, Flatten, Identity: the same values

A PReLU has a slope per channel, which a histogram over all channels cannot undo: its input is
observed. The picture and the network's output are observed too, for the report's sake; their
quantized range is [0, 1] whatever was seen (percentile clipping there darkens white: OpenPPL/ppq
issue 480).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx.helper import get_attribute_value

from calib.errors import CalibrationError
from calib.graph import GraphIndex
from calib.histogram import Histogram
from quant.distribution import Distribution, merge
from quant.topology import MOVERS, Topology

PINNED_RANGE = (0.0, 1.0)


def observed_tensors(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the tensors to observe, in topological order: the others follow from them.

    Raises:
        GraphError: nodes without a name of their own.
    """
    derivation = Derivation(Topology(GraphIndex(model)))
    topology = derivation.topology
    tensors = [*topology.index.inputs]
    tensors += [name for node in topology.operators for name in node.output if name]
    return tuple(tensor for tensor in tensors if not derivation.sources(tensor))


@dataclass(frozen=True, eq=False)
class Derivation:
    """Which tensors' distributions follow from which others.

    Attributes:
        topology: the graph.
    """

    topology: Topology

    def sources(self, tensor: str) -> tuple[str, ...]:
        """Return the tensors that ``tensor`` follows from; empty if it must be observed."""
        activation = self._leaky_reader(tensor)
        if activation is not None:
            return (activation.output[0],)
        producer = self.topology.index.producer(tensor)
        if producer is None:
            return ()
        if producer.op_type == "Concat" or producer.op_type in MOVERS:
            if (
                producer.op_type == "Resize"
                and _attribute(producer, "mode", b"nearest") != b"nearest"
            ):
                return ()
            return self.topology.data_inputs(producer)
        if self.positive_factor(producer) is not None:
            return self.topology.data_inputs(producer)
        return ()

    def derive(self, tensor: str, known: Mapping[str, Distribution]) -> Distribution:
        """Return the distribution of ``tensor`` from those of its ``sources``."""
        activation = self._leaky_reader(tensor)
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

    def _leaky_reader(self, tensor: str) -> onnx.NodeProto | None:
        """Return the invertible LeakyReLU that reads ``tensor``, if there is one."""
        for reader in self.topology.readers(tensor):
            if reader.op_type == "LeakyRelu" and 0.0 < leaky_slope(reader) <= 1.0:
                return reader
        return None


@dataclass(frozen=True, eq=False)
class Ranges:
    """Distributions of all tensors of a graph, made on demand.

    Attributes:
        derivation: what follows from what.
        histograms: of the observed tensors.
    """

    derivation: Derivation
    histograms: Mapping[str, Histogram]

    def distribution(self, tensor: str) -> Distribution:
        """Return the distribution of ``tensor``.

        Raises:
            CalibrationError: the table lacks a tensor it would have to hold.
        """
        if tensor not in self._known:
            sources = self.derivation.sources(tensor)
            if sources:
                for source in sources:
                    self.distribution(source)
                self._known[tensor] = self.derivation.derive(tensor, self._known)
            else:
                self._known[tensor] = self._observed(tensor)
        return self._known[tensor]

    def _observed(self, tensor: str) -> Distribution:
        if tensor not in self.histograms:
            raise CalibrationError(
                f"the calibration table holds no statistics of {tensor!r}; calibrate this graph"
            )
        return distribution_of(self.histograms[tensor])

    @cached_property
    def _known(self) -> dict[str, Distribution]:
        return {}


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


def leaky_slope(node: onnx.NodeProto) -> float:
    """Return the slope of a LeakyReLU; ONNX's default is 0.01."""
    return float(_attribute(node, "alpha", 0.01))  # type: ignore[arg-type]  # a FLOAT attribute


def _attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    for attribute in node.attribute:
        if attribute.name == name:
            return get_attribute_value(attribute)
    return default
