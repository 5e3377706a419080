"""Say what the calibration pictures of a table do not show: light, dark, colours, variety.

What they do not show, no range was chosen for. All of it follows from the table: the histogram of
the pictures' values, of each channel too, and the list of what was shown.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from calib.arrays import Float64
from calib.channels import ChannelHistograms
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable

BRIGHTEST, DARKEST = 0.75, 0.25
"""Photographs together reach beyond both, single ones may not."""
RARE = 0.001
"""Share of the values that may lie beyond what counts as shown."""
COLOURED = 0.005
"""Share of the values by which two channels differ at least where anything has a colour."""

_CHANNELS = ("red", "green", "blue")


def not_covered(table: CalibrationTable) -> Iterator[str]:
    """Yield one line for each way in which the pictures of a table show too little.

    Args:
        table: of ``observed_tensors``: what the network takes comes first.
    """
    shown = next(iter(table.tensors.values()))
    yield from _unseen_light(shown)
    yield from _unseen_colours(shown.channels)
    digests = Counter(patch.sha256 for patch in table.images.patches)
    again = table.images.count - len(digests)
    if again:
        yield f"{again} of {table.images.count} calibration pictures are the same as another one"


def _unseen_light(shown: TensorStatistics) -> Iterator[str]:
    low, high = shown.range(100.0 * (1.0 - RARE))
    if high < BRIGHTEST:
        yield _clipped(f"hardly a value is above {_level(high)} of 255")
    if low > DARKEST:
        yield _clipped(f"hardly a value is below {_level(low)} of 255")


def _unseen_colours(channels: ChannelHistograms) -> Iterator[str]:
    if len(channels.counts) != len(_CHANNELS):
        return
    shares = _shares(channels)
    if max(_apart(shares[0], shares[1]), _apart(shares[1], shares[2])) < COLOURED:
        yield _clipped("none has a colour")
        return
    levels = np.linspace(0.0, 1.0, shares.shape[1])
    highest = [float(levels[np.searchsorted(s.cumsum(), 1.0 - RARE)]) for s in shares]
    brightest = max(highest)
    for name, high in zip(_CHANNELS, highest, strict=True):
        if high < BRIGHTEST <= brightest:
            yield _clipped(f"hardly a {name} value is above {_level(high)} of 255")


def _shares(channels: ChannelHistograms) -> Float64:
    """Return float64 ``[C, 256]``: how often each grey level is in each channel, adding up to 1."""
    grid = (np.arange(257) - 0.5) / 255.0
    below = [
        np.interp(grid, edges, np.append(0, np.cumsum(counts)))
        for edges, counts in zip(channels.edges(), channels.counts, strict=True)
    ]
    found = np.diff(np.array(below), axis=1)
    return np.asarray(found / found.sum(axis=1, keepdims=True), np.float64)


def _apart(left: Float64, right: Float64) -> float:
    """Return the share of the values that would have to move to make two histograms one."""
    return float(np.abs(left - right).sum() / 2.0)


def _clipped(found: str) -> str:
    return f"the calibration pictures show little: {found}; what they do not show is clipped"


def _level(value: float) -> int:
    return round(255 * value)
