"""Lay out plots: lines, bars and labels in shares of a plot's width and height.

The page draws a plot as an SVG stretched over its box, with the text beside it as HTML: lines
follow any width and the text stays readable on a phone. So everything here is in percent of the
box, x from the left and y from the top, rounded to two decimals.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.metrics.decibels import with_unit
from deploy.metrics.layer_sqnr import LayerError, worst_layers
from deploy.report.plans import percentile_text
from deploy.report.ranges import ChosenRange

_SHOWN_PERCENT = 98.0  # of the tensors must fit the scale; equal tensors would stretch it
_MOST_DB = 100.0

WORST = 10
_BARS = 160
_LABEL_APART = 11.0  # percent of the width: room for a name on a page of usual width

_SCOPE = re.compile(r"/(?:body/)?(body\.\d+|[^/]+)")


@dataclass(frozen=True)
class Tick:
    """A label on an axis.

    Attributes:
        at: where, in percent.
        text: what it says.
    """

    at: float
    text: str


@dataclass(frozen=True)
class Dot:
    """One tensor in the plot of SQNR.

    Attributes:
        x: in percent of the width.
        y: in percent of the height.
        title: what a reader sees of it.
        rank: 1 for the worst of all, up to `WORST`; 0 for the others.
    """

    x: float
    y: float
    title: str
    rank: int


@dataclass(frozen=True)
class SqnrPlot:
    """SQNR of every tensor in graph order.

    Attributes:
        dots: one per tensor.
        x_ticks: where the parts of the network begin.
        y_ticks: in dB.
    """

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]

    @property
    def line(self) -> str:
        """The dots as one SVG path."""
        return "M" + "L".join(f"{dot.x:g} {dot.y:g}" for dot in self.dots)


@dataclass(frozen=True)
class RangePlot:
    """The histogram of one tensor, counts on a logarithmic scale, and its chosen range.

    Attributes:
        tensor: its name.
        bars: the outline of the histogram as an SVG path.
        low: left end of the chosen range, in percent.
        high: right end, in percent.
        x_ticks: the range's ends and zero.
        chosen: the range.
        seen: smallest and largest value.
        percentile: share of the values that the range holds, in words.
        sqnr_db: signal to noise ratio of quantizing to the range alone, in dB.
        rule: how the range was found.
    """

    tensor: str
    bars: str
    low: float
    high: float
    x_ticks: tuple[Tick, ...]
    chosen: tuple[float, float]
    seen: tuple[float, float]
    percentile: str
    sqnr_db: float
    rule: str


def sqnr_plot(layers: Sequence[LayerError]) -> SqnrPlot:
    """Lay out the SQNR of every tensor in graph order.

    Args:
        layers: at least one.
    """
    ranks = {layer.tensor: rank for rank, layer in enumerate(worst_layers(layers, WORST), 1)}
    levels_db = [layer.sqnr_db for layer in layers]
    usual_db = max(float(np.percentile(levels_db, _SHOWN_PERCENT)), levels_db[-1])
    floor = min(0.0, 10 * math.floor(min(levels_db) / 10))
    ceiling = max(10 * math.ceil(min(usual_db, _MOST_DB) / 10), floor + 10)
    dots = tuple(
        Dot(
            x=_percent(number + 0.5, 0, len(layers)),
            y=100 - _percent(min(layer.sqnr_db, ceiling), floor, ceiling),
            title=f"{layer.tensor}: {with_unit(layer.sqnr_db)}, {layer.operator}",
            rank=ranks.get(layer.tensor, 0),
        )
        for number, layer in enumerate(layers)
    )
    step = 20 if ceiling - floor > 50 else 10
    levels = range(int(floor), int(ceiling) + 1, step)
    y_ticks = tuple(Tick(100 - _percent(level, floor, ceiling), str(level)) for level in levels)
    return SqnrPlot(dots, _part_ticks(layers), y_ticks)


def range_plot(chosen: ChosenRange) -> RangePlot:
    """Lay out the histogram of one tensor and the range chosen for it."""
    distribution = chosen.distribution
    low, high = chosen.edge.covered
    values, counts = distribution.values, distribution.counts
    span = (distribution.minimum, distribution.maximum)
    if span[0] == span[1]:  # a constant tensor has one bar of some width
        margin = 0.01 * (high - low)
        span = (span[0] - margin, span[1] + margin)
    bars, edges = np.histogram(values, bins=_BARS, range=span, weights=counts)
    left, right = min(edges[0], low), max(edges[-1], high)
    heights = np.log1p(bars) / np.log1p(bars.max())
    points = []
    for start, stop, height in zip(edges[:-1], edges[1:], heights, strict=True):
        y = round(100 - 96 * float(height), 2)
        points += [(start, y), (stop, y)]
    outline = "".join(f"L{_percent(x, left, right):g} {y:g}" for x, y in points)
    first, last = (_percent(edge, left, right) for edge in (edges[0], edges[-1]))
    ends = {low, high, *((0.0,) if left < 0 < right else ())}
    return RangePlot(
        tensor=chosen.edge.tensor,
        bars=f"M{first:g} 100{outline}L{last:g} 100Z",
        low=_percent(low, left, right),
        high=_percent(high, left, right),
        x_ticks=_apart([Tick(_percent(v, left, right), f"{v:.3g}") for v in sorted(ends)]),
        chosen=(low, high),
        seen=(distribution.minimum, distribution.maximum),
        percentile=percentile_text(chosen.edge.percentile),
        sqnr_db=-10 * math.log10(chosen.loss) if chosen.loss else math.inf,
        rule=chosen.edge.rule,
    )


def _part_ticks(layers: Sequence[LayerError]) -> tuple[Tick, ...]:
    """Label where a part of the network begins with a convolution, where there is room."""
    ticks: list[Tick] = []
    last = ""
    for number, layer in enumerate(layers):
        scope = _SCOPE.match(layer.node)
        is_part = layer.operator == "Conv" and scope is not None and scope[0] != layer.node
        name = scope[1] if is_part and scope else ""
        at = _percent(number, 0, len(layers))
        if name and name != last and (not ticks or at - ticks[-1].at >= _LABEL_APART):
            ticks.append(Tick(at, name))
        last = name or last
    return tuple(tick for tick in ticks if tick.at <= 100 - _LABEL_APART)


def _apart(ticks: list[Tick], least: float = 14.0) -> tuple[Tick, ...]:
    """Drop ticks that would overlap their left neighbour; the two ends are kept."""
    kept = ticks[:1]
    for tick in ticks[1:-1]:
        if tick.at - kept[-1].at >= least and ticks[-1].at - tick.at >= least:
            kept.append(tick)
    return (*kept, *ticks[len(ticks) - 1 :][: len(ticks) - 1])


def _percent(value: float, low: float, high: float) -> float:
    return round(100 * (float(value) - low) / (high - low), 2)
