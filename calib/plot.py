"""A calibration table and the chosen ranges in, a PNG of the histograms that lose most out.

What a tensor loses is measured in calib/range_loss.py; it stands as SQNR in dB in the plot. Each
panel shows the counts on a logarithmic scale and shades what the range clips.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calib.errors import CalibrationError, UsageError
from calib.histogram import Histogram
from calib.range_loss import Range, coarse, worst_tensors
from calib.table import CalibrationTable

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise UsageError(
        "plotting needs matplotlib, which is not installed; run: pip install 'esrdeploy[plot]'"
    ) from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 2
_PANEL_INCHES = (6.0, 2.4)
_POINTS = 512  # bars per panel: about as many as it is pixels wide
_BARS, _CLIPPED, _EDGE = "#35608d", "#d95f02", "#1b1b1b"


def plot_ranges(
    table: CalibrationTable,
    ranges: Mapping[str, Range],
    path: Path,
    *,
    count: int = 12,
    levels: int = 256,
) -> list[str]:
    """Write the histograms of the ``count`` tensors that lose most to a PNG file.

    Args:
        table: the histograms.
        ranges: the chosen range by tensor; only these are considered.
        path: where the picture goes.
        count: how many panels at most.
        levels: quantized values there are: 256 for 8 bits.

    Returns:
        The plotted tensors, worst first.

    Raises:
        CalibrationError: no ranges, an empty range, or one of an unknown tensor.
        UsageError: the file cannot be written.
    """
    worst = worst_tensors(table, ranges, count, levels)
    if not worst:
        raise CalibrationError("no ranges to plot")
    rows = -(-len(worst) // _COLUMNS)
    figure = Figure(
        figsize=(_COLUMNS * _PANEL_INCHES[0], rows * _PANEL_INCHES[1]), layout="constrained"
    )
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    for panel, (name, loss) in zip(panels, worst, strict=False):
        _draw(panel, table.tensors[name].histogram, ranges[name], f"{name}   {_decibels(loss)}")
    for panel in panels[len(worst) :]:
        panel.set_axis_off()
    try:
        # Without the metadata the bytes do not depend on matplotlib's version string.
        figure.savefig(path, format="png", dpi=100, metadata={"Software": None})
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    return [name for name, _ in worst]


def _draw(panel: "Axes", histogram: Histogram, chosen: Range, title: str) -> None:
    edges, counts = coarse(histogram, _POINTS)
    panel.stairs(counts, edges, fill=True, color=_BARS)
    panel.set_yscale("log")
    panel.set_ylim(0.5, 2 * counts.max())
    left, right = min(edges[0], chosen[0]), max(edges[-1], chosen[1])
    margin = 0.02 * (right - left) or 1.0
    panel.set_xlim(left - margin, right + margin)
    for start, stop in ((left - margin, chosen[0]), (chosen[1], right + margin)):
        panel.axvspan(start, stop, color=_CLIPPED, alpha=0.15, linewidth=0)
    for end in chosen:
        panel.axvline(end, color=_EDGE, linewidth=0.8)
    clipped = counts[(edges[1:] <= chosen[0]) | (edges[:-1] >= chosen[1])].sum()
    panel.set_title(title, fontsize=8, loc="left")
    panel.set_ylabel("values", fontsize=7)
    panel.set_xlabel(
        f"range [{chosen[0]:.4g}, {chosen[1]:.4g}] of [{histogram.minimum:.4g}, "
        f"{histogram.maximum:.4g}], {clipped / histogram.total:.3%} clipped",
        fontsize=7,
    )
    panel.tick_params(labelsize=7)


def _decibels(loss: float) -> str:
    return f"SQNR {-10 * np.log10(loss):.1f} dB" if loss else "no loss"
