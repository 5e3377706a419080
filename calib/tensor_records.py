"""Pack the statistics of many tensors into one record each and a few long arrays, and unpack them.

The records say where in the arrays a tensor's figures lie, and repeat its extremes and counts, so
records and arrays that do not belong together are noticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calib.arrays import AnyArray
from calib.channels import BINS, ChannelHistograms
from calib.errors import CalibrationError
from calib.histogram import Histogram
from calib.records import Integer64, Positive
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
    exponent: Integer64
    first_bin: Integer64
    bins: Positive
    channels: Positive


def pack(
    tensors: Mapping[str, TensorStatistics],
) -> tuple[tuple[TensorRecord, ...], dict[str, AnyArray]]:
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
    parts: dict[str, list[AnyArray]] = {
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
    records: Sequence[TensorRecord], arrays: Mapping[str, AnyArray]
) -> dict[str, TensorStatistics]:
    """Return the statistics that :func:`pack` took apart.

    Raises:
        CalibrationError: records and arrays contradict one another.
    """
    found = {name: (array.dtype, array.ndim) for name, array in arrays.items()}
    if found != {name: (np.dtype(dtype), 1) for name, dtype in _ARRAYS.items()}:
        raise CalibrationError(f"the table's arrays are {found}, expected 1-D {list(_ARRAYS)}")
    values = sum(record.channels for record in records)
    sizes = {"counts": sum(record.bins for record in records), "channel_counts": values * BINS}
    for name in _ARRAYS:
        size = sizes.get(name, values)
        if len(arrays[name]) != size:
            raise CalibrationError(
                f"tensors need {size} values of {name}, expected {len(arrays[name])}"
            )
    tensors: dict[str, TensorStatistics] = {}
    first_bin, first_channel = 0, 0
    for position, record in enumerate(records):
        bins = slice(first_bin, first_bin + record.bins)
        channels = slice(first_channel, first_channel + record.channels)
        try:
            tensors[record.name] = _statistics(record, arrays, bins, channels)
        except CalibrationError as error:
            raise CalibrationError(f"tensors[{position}]: {error}") from error
        first_bin, first_channel = bins.stop, channels.stop
    if len(tensors) != len(records):
        raise CalibrationError("tensors lists a name twice")
    return tensors


def _statistics(
    record: TensorRecord, arrays: Mapping[str, AnyArray], bins: slice, channels: slice
) -> TensorStatistics:
    """Return the statistics of one tensor, whose figures lie in those parts of the arrays."""
    histogram = Histogram(
        record.minimum, record.maximum, record.exponent, record.first_bin, arrays["counts"][bins]
    )
    statistics = TensorStatistics(
        histogram=histogram,
        observations=record.observations,
        channels=ChannelHistograms(
            arrays["channel_minimum"][channels],
            arrays["channel_maximum"][channels],
            arrays["channel_counts"].reshape(-1, BINS)[channels],
        ),
        channel_mean_sum=arrays["channel_mean_sum"][channels],
    )
    _require_consistent(record, statistics)
    return statistics


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
            f"its counts and channel figures contradict the record of {record.name!r}"
        )
