"""Lay out what each layer group of a quantized model costs, as bars of an SVG."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from deploy.metrics.decibels import with_unit
from deploy.report.plots import Tick
from quant.sensitivity import Sensitivity

_GAP = 0.25  # of a bar's place


@dataclass(frozen=True)
class Bar:
    """The cost of one layer group.

    Attributes:
        x: left end, in percent of the width.
        width: in percent of the width.
        height: in percent of the plot.
        title: what a reader sees of it.
        promoted: whether one of its convolutions was promoted to a higher precision.
    """

    x: float
    width: float
    height: float
    title: str
    promoted: bool


@dataclass(frozen=True)
class SensitivityPlot:
    """Cost of every layer group in graph order.

    Attributes:
        bars: one per group.
        y_ticks: in percent of the whole squared error.
        parity_db: of the model with all groups quantized.
        images: held-out pictures it was measured on.
    """

    bars: tuple[Bar, ...]
    y_ticks: tuple[Tick, ...]
    parity_db: float
    images: int


def sensitivity_plot(sensitivity: Sensitivity, promoted: Collection[str]) -> SensitivityPlot:
    """Lay out the share of the squared error that each layer group causes.

    Args:
        sensitivity: what each group costs; at least one.
        promoted: names of the convolutions that were promoted to a higher precision.
    """
    groups = sensitivity.groups
    total = math.fsum(group.squared_error for group in groups) or 1.0
    shares = [100.0 * group.squared_error / total for group in groups]
    ceiling = max(5.0, 5.0 * math.ceil(max(shares) / 5.0))
    place = 100.0 / len(groups)
    bars = tuple(
        Bar(
            x=round(number * place, 3),
            width=round(place * (1.0 - _GAP), 3),
            height=round(100.0 * share / ceiling, 3),
            title=f"{group.name}: {share:.2f} %, alone {with_unit(group.parity_db)}",
            promoted=not set(promoted).isdisjoint(group.nodes),
        )
        for number, (group, share) in enumerate(zip(groups, shares, strict=True))
    )
    ticks = tuple(Tick(100.0 * (1 - part), f"{ceiling * part:g}") for part in (0.0, 0.5, 1.0))
    return SensitivityPlot(bars, ticks, sensitivity.parity_db, sensitivity.pictures)
