"""Pack the statistics of many tensors into one record each and a few long arrays, and unpack them.

The records say where in the arrays a tensor's figures lie, and repeat its extremes and counts, so
records and arrays that do not belong together are noticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calib.archive import Array
from calib.channels import BINS, ChannelHistograms
from calib.errors import CalibrationError
from calib.histogram import Histogram
from calib.records import Int64, Positive
from calib.statistics import TensorStatistics

_ARRAYS = {
    "counts": np.int64,
    "channel_minimum": np.float32,
    "channel_maximum": np.float32,
    "channel_counts": np.int32,
    "channel_mean_sum": np.int64,
}


@dataclass(frozen=True)
class TensorRecord:
    """What is said of one tensor beside the arrays.

    Attributes:
        name: of the tensor.
        minimum: smallest value seen.
        maximum: largest value seen.
        count: how many values were seen.
        observations: how often the tensor was seen.
        exponent: bins of its histogram are ``2**exponent`` wide.
        first_bin: index of the first bin.
        bins: how many there are.
        channels: how many channels the tensor has.
    """

    name: str
    minimum: float
    maximum: float
    count: Positive
    observations: Positive
    exponent: Int64
    first_bin: Int64
    bins: Positive
    channels: Positive


def pack(
    tensors: Mapping[str, TensorStatistics],
) -> tuple[tuple[TensorRecord, ...], dict[str, Array]]:
    """Return statistics as one record per tensor, and a few long arrays."""
    records = tuple(
        TensorRecord(
            name=name,
            minimum=statistics.minimum,
            maximum=statistics.maximum,
            count=statistics.histogram.total,
            observations=statistics.observations,
            exponent=statistics.histogram.exponent,
            first_bin=statistics.histogram.first_bin,
            bins=len(statistics.histogram.counts),
            channels=len(statistics.channel_mean_sum),
        )
        for name, statistics in tensors.items()
    )
    parts: dict[str, list[Array]] = {
        "counts": [s.histogram.counts for s in tensors.values()],
        "channel_minimum": [s.channels.minimum for s in tensors.values()],
        "channel_maximum": [s.channels.maximum for s in tensors.values()],
        "channel_counts": [s.channels.counts.reshape(-1) for s in tensors.values()],
        "channel_mean_sum": [s.channel_mean_sum for s in tensors.values()],
    }
    return records, {
        name: np.concatenate(parts[name], dtype=dtype) for name, dtype in _ARRAYS.items()
    }


def unpack(
    records: Sequence[TensorRecord], arrays: Mapping[str, Array]
) -> dict[str, TensorStatistics]:
    """Return the statistics that :func:`pack` took apart.

    Raises:
        CalibrationError: records and arrays contradict one another.
    """
    found = {name: (array.dtype, array.ndim) for name, array in arrays.items()}
    if found != {name: (np.dtype(dtype), 1) for name, dtype in _ARRAYS.items()}:
        raise CalibrationError(f"the table's arrays are {found}, expected 1-D {list(_ARRAYS)}")
    bins, channels = sum(r.bins for r in records), sum(r.channels for r in records)
    sizes = {"counts": bins, "channel_counts": channels * BINS}
    for name in _ARRAYS:
        size = sizes.get(name, channels)
        if len(arrays[name]) != size:
            raise CalibrationError(f"{name} has {len(arrays[name])} values, expected {size}")
    channel_counts = arrays["channel_counts"].reshape(-1, BINS)
    tensors: dict[str, TensorStatistics] = {}
    first_bin, first_channel = 0, 0
    for record in records:
        last_bin, last_channel = first_bin + record.bins, first_channel + record.channels
        statistics = TensorStatistics(
            histogram=Histogram(
                record.minimum,
                record.maximum,
                record.exponent,
                record.first_bin,
                arrays["counts"][first_bin:last_bin],
            ),
            observations=record.observations,
            channels=ChannelHistograms(
                arrays["channel_minimum"][first_channel:last_channel],
                arrays["channel_maximum"][first_channel:last_channel],
                channel_counts[first_channel:last_channel],
            ),
            channel_mean_sum=arrays["channel_mean_sum"][first_channel:last_channel],
        )
        _require_consistent(record, statistics)
        tensors[record.name] = statistics
        first_bin, first_channel = last_bin, last_channel
    if len(tensors) != len(records):
        raise CalibrationError("a tensor is listed twice in the calibration table")
    return tensors


def _require_consistent(record: TensorRecord, statistics: TensorStatistics) -> None:
    extremes = (statistics.channels.minimum.min(), statistics.channels.maximum.max())
    consistent = (
        statistics.histogram.total == record.count
        and statistics.observations > 0
        and record.count % (statistics.observations * record.channels) == 0
        and tuple(map(float, extremes)) == (statistics.minimum, statistics.maximum)
        and len(set(statistics.channels.counts.sum(axis=1))) == 1
    )
    if not consistent:
        raise CalibrationError(
            f"counts and channel figures of tensor {record.name!r} contradict its record"
        )
