"""Collect mergeable statistics of one activation: histograms and the mean of each channel.

What is kept of a tensor is what later stages need, in one pass and in fixed memory: a histogram
(ranges of any percentile), a coarse histogram of each channel (equalization, and ranges behind
it) and the mean of each channel (bias correction).

Everything merges exactly, means included: a channel's mean over one image, a float64 sum, is
rounded once to a multiple of ``MEAN_UNIT = 2**-32`` and then added as an integer, so neither the
order of the images nor their split over processes changes a bit of the result. The resolution of
a mean is half a unit, 1.2e-10.
"""

from dataclasses import dataclass

import numpy as np

from calib.arrays import AnyArray, Float64, Int64
from calib.channels import ChannelHistograms
from calib.errors import CalibrationError
from calib.histogram import Histogram

MEAN_UNIT = 2.0**-32
_SUM_LIMIT = 2**62


@dataclass(frozen=True, eq=False)
class TensorStatistics:
    """What calibration keeps of one tensor.

    Attributes:
        histogram: of all its values.
        observations: how many arrays (images) were observed.
        channels: of each channel on axis 1; one channel below two axes.
        channel_mean_sum: int64 [C], sum over observations of the mean, in ``MEAN_UNIT``.
    """

    histogram: Histogram
    observations: int
    channels: ChannelHistograms
    channel_mean_sum: Int64

    @classmethod
    def of(cls, array: AnyArray) -> "TensorStatistics":
        """Return the statistics of one float32 or float16 array [N, C, ...].

        Raises:
            CalibrationError: it is empty, of another dtype, or holds NaN or infinity.
        """
        if array.dtype not in (np.float32, np.float16) or array.size == 0:
            raise CalibrationError(
                f"expected float values to observe, found {array.dtype}{list(array.shape)}"
            )
        values = np.ascontiguousarray(array, np.float32)
        # [N, C, rest]: the channel's own values are contiguous runs of the last axis.
        leading = values.shape[0] if values.ndim > 1 else 1
        planes = values.reshape(leading, values.shape[1] if values.ndim > 1 else 1, -1)
        with np.errstate(invalid="ignore"):
            low, high = planes.min(axis=(0, 2)), planes.max(axis=(0, 2))
        minimum, maximum = float(low.min()), float(high.max())
        if not np.isfinite((minimum, maximum)).all():
            nans, infinities = int(np.isnan(values).sum()), int(np.isinf(values).sum())
            raise CalibrationError(
                f"found {nans} NaN and {infinities} infinite among {values.size} values"
            )
        mean = planes.sum(axis=2, dtype=np.float64).sum(axis=0) / (values.size // planes.shape[1])
        return cls(
            histogram=Histogram.of(values, minimum, maximum),
            observations=1,
            channels=ChannelHistograms.of(planes, low, high),
            channel_mean_sum=_fixed_point(mean),
        )

    def merge(self, other: "TensorStatistics") -> "TensorStatistics":
        """Return the statistics of both sets of observations, exactly.

        Raises:
            CalibrationError: the two tensors differ in shape.
        """
        per_array = [s.histogram.total // s.observations for s in (self, other)]
        channels = [len(s.channel_mean_sum) for s in (self, other)]
        if per_array[0] != per_array[1] or channels[0] != channels[1]:
            raise CalibrationError(
                f"tensors of {per_array[0]} values in {channels[0]} channels and of "
                f"{per_array[1]} in {channels[1]} cannot be merged"
            )
        total = self.channel_mean_sum + other.channel_mean_sum
        if np.abs(total).max() >= _SUM_LIMIT:
            raise CalibrationError("channel means add up beyond 2**30; activations explode")
        return TensorStatistics(
            histogram=self.histogram.merge(other.histogram),
            observations=self.observations + other.observations,
            channels=self.channels.merge(other.channels),
            channel_mean_sum=total,
        )

    @property
    def minimum(self) -> float:
        """Smallest value seen, exact."""
        return self.histogram.minimum

    @property
    def maximum(self) -> float:
        """Largest value seen, exact."""
        return self.histogram.maximum

    @property
    def channel_mean(self) -> Float64:
        """float64 [C], mean of each channel."""
        return self.channel_mean_sum.astype(np.float64) * (MEAN_UNIT / self.observations)

    def range(self, percentile: float) -> tuple[float, float]:
        """Return the two-sided percentile range: 99.99 gives the 0.01 % and 99.99 % points.

        Raises:
            CalibrationError: ``percentile`` lies outside (50, 100].
        """
        if not 50 < percentile <= 100:
            raise CalibrationError(f"a range percentile lies in (50, 100], found {percentile}")
        return self.histogram.percentile(100 - percentile), self.histogram.percentile(percentile)


def _fixed_point(mean: Float64) -> Int64:
    scaled = np.rint(mean / MEAN_UNIT)
    if np.abs(scaled).max() >= _SUM_LIMIT:
        raise CalibrationError(
            f"a channel's mean is {np.abs(mean).max():g}, beyond 2**30; activations explode"
        )
    return scaled.astype(np.int64)
