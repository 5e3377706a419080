"""A histogram and a chosen range in, what the range costs at 8 bits out, and what it looks like.

What a tensor loses is the error of quantizing it to its range, relative to its own power:
``mse / E[x**2]``, both from the histogram.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from calib.errors import CalibrationError
from calib.histogram import Histogram
from calib.table import CalibrationTable

Range = tuple[float, float]


def relative_loss(histogram: Histogram, chosen: Range, levels: int = 256) -> float:
    """Return the mean squared error of ``levels`` steps over ``chosen``, per power of the tensor.

    Raises:
        CalibrationError: the range is empty.
    """
    low, high = chosen
    if not low < high:
        raise CalibrationError(f"a range needs a positive length, found {chosen}")
    scale = (high - low) / (levels - 1)
    zero_point = round(-low / scale)
    error = histogram.quantization_mse(scale, zero_point, 0, levels - 1)
    power = mean_square(histogram)
    return error / power if power else 0.0


def mean_square(histogram: Histogram) -> float:
    """Return the mean of the squared values, taken as spread evenly over their bins."""
    left, right = histogram.edges[:-1], histogram.edges[1:]
    squares = (left * left + left * right + right * right) / 3
    return float(squares @ histogram.counts) / histogram.total


def worst_tensors(
    table: CalibrationTable, ranges: Mapping[str, Range], count: int, levels: int = 256
) -> list[tuple[str, float]]:
    """Return the ``count`` tensors that lose most, with their relative loss, worst first.

    Raises:
        CalibrationError: a range is given for a tensor that the table does not hold.
    """
    unknown = [name for name in ranges if name not in table.tensors]
    if unknown:
        raise CalibrationError(f"the calibration table holds no tensor {unknown[0]!r} to plot")
    losses = {
        name: relative_loss(table.tensors[name].histogram, chosen, levels)
        for name, chosen in ranges.items()
    }
    return sorted(losses.items(), key=lambda item: (-item[1], item[0]))[:count]


def coarse(
    histogram: Histogram, bars: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Join neighbouring bins until few enough are left to be seen.

    Args:
        histogram: of a tensor.
        bars: how many bins may be left.

    Returns:
        Edges, float64 [B + 1] in ascending order, and counts, int64 [B].
    """
    step = -(-len(histogram.counts) // bars)
    starts = np.arange(0, len(histogram.counts), step)
    edges = np.append(histogram.edges[starts], histogram.edges[-1])
    if edges[-1] <= edges[-2]:  # a last bin without width, or a constant tensor
        edges[-1] = edges[-2] + histogram.width
    return edges, np.add.reduceat(histogram.counts, starts)
