"""Describe each channel that a convolution reads, from the calibration table.

Means and variances are those of all calibration images: a bias that makes up for rounded weights,
and a weight scale that weighs its columns by what drives them, need no image of their own.
"""

from dataclasses import dataclass

import numpy as np

from calib.arrays import Float64
from calib.statistics import TensorStatistics
from quant.analysis.tensor_distributions import TensorDistributions, leaky_slope

TYPICAL = 0.999


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Figures of each channel of a tensor, as it is quantized: behind its equalization.

    Attributes:
        abs_max: float64 ``[C]``, largest magnitude.
        mean: float64 ``[C]``.
        variance: float64 ``[C]``, about the mean; from a sample of the values.
    """

    abs_max: Float64
    mean: Float64
    variance: Float64

    @classmethod
    def observed(cls, statistics: TensorStatistics) -> "ChannelStatistics":
        """Return the figures of an observed tensor."""
        channels = statistics.channels
        edges = channels.edges()
        centres, counts = (edges[:, :-1] + edges[:, 1:]) / 2.0, channels.counts
        total = counts.sum(axis=1)
        mean = (centres * counts).sum(axis=1) / total
        square = (centres**2 * counts).sum(axis=1) / total
        return cls(
            channels.abs_max.astype(np.float64),
            statistics.channel_mean,
            np.maximum(square - mean**2, 0.0),
        )

    def scaled(self, factor: float | Float64) -> "ChannelStatistics":
        """Return the figures of the values times ``factor``, one or ``[C]``."""
        return ChannelStatistics(
            self.abs_max * np.abs(factor), self.mean * factor, self.variance * np.square(factor)
        )


def channel_statistics(distributions: TensorDistributions, tensor: str) -> ChannelStatistics:
    """Return the statistics of a tensor that a convolution reads, per channel of its axis 1.

    They are in the units of the equalized graph.

    Raises:
        CalibrationError: the table lacks a tensor they rest on.
    """
    sources = distributions.rules.sources(tensor)
    producer = distributions.rules.topology.index.producer(tensor)
    if producer is None or not sources:
        found = ChannelStatistics.observed(distributions.statistics_of(tensor))
        return found.scaled(1.0 / distributions.factors.get(tensor, np.ones(1)))
    parts = [channel_statistics(distributions, source) for source in sources]
    joined = ChannelStatistics(
        np.concatenate([part.abs_max for part in parts]),
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.variance for part in parts]),
    )
    return joined.scaled(distributions.rules.positive_factor(producer) or 1.0)


def relative_magnitudes(distributions: TensorDistributions, tensor: str) -> Float64:
    """Return the relative magnitude of each channel, float64 ``[C]``.

    Where a LeakyReLU reads the tensor: the percentile ``TYPICAL`` of ``|x|`` per channel, rescaled
    to the geometric mean of the maxima, so that a rare outlier does not decide how channels
    compare and the tensor keeps its size. Such a tensor is not observed: it follows from the
    activation's output. Of other tensors, the maximum of ``|x|``.

    Raises:
        CalibrationError: the table lacks a tensor they rest on.
    """
    activation = distributions.rules.leaky_reader(tensor)
    if activation is None:
        return channel_statistics(distributions, tensor).abs_max
    channels = distributions.statistics_of(activation.output[0]).channels
    slope = leaky_slope(activation)

    def before(values: Float64) -> Float64:
        return np.where(values < 0.0, -values / slope, values)

    edges = channels.edges()
    centres = before((edges[:, :-1] + edges[:, 1:]) / 2.0)
    largest = np.maximum(
        before(channels.minimum.astype(np.float64)), before(channels.maximum.astype(np.float64))
    )
    order = np.argsort(centres, axis=1)
    shares = np.cumsum(np.take_along_axis(channels.counts, order, axis=1), axis=1)
    position = (shares < TYPICAL * shares[:, -1:]).sum(axis=1, keepdims=True)
    typical = np.take_along_axis(np.take_along_axis(centres, order, axis=1), position, axis=1)[:, 0]
    living = (typical > 0.0) & (largest > 0.0)
    if living.any():
        typical = typical * np.exp(np.mean(np.log(largest[living] / typical[living])))
    found: Float64 = typical / distributions.factors.get(tensor, np.ones(1))
    return found
