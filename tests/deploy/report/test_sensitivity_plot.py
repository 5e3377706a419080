"""What layer groups cost, as bars: their heights are shares of the whole."""

import itertools

import pytest

from deploy.report.sensitivity_plot import sensitivity_plot
from quant.sensitivity import GroupCost, Sensitivity

GROUPS = (
    GroupCost("a5", ("a1", "a5"), 3e-4, 2),
    GroupCost("b5", ("b5",), 1e-4, 1),
    GroupCost("tail", ("tail",), 0.0, 1),
)
COSTS = Sensitivity(GROUPS, 4e-4, 2)


def test_bars_are_shares_of_the_squared_error() -> None:
    plot = sensitivity_plot(COSTS, ["a1"])
    assert [bar.height for bar in plot.bars] == pytest.approx([100.0, 100.0 / 3, 0.0], abs=0.01)
    assert [tick.text for tick in plot.y_ticks] == ["0", "37.5", "75"]
    assert plot.parity_db == pytest.approx(33.98, abs=0.01)
    assert plot.images == 2


def test_promoted_groups_are_told_apart() -> None:
    assert [bar.promoted for bar in sensitivity_plot(COSTS, ["a1"]).bars] == [True, False, False]


def test_bars_stand_side_by_side_within_the_plot() -> None:
    bars = sensitivity_plot(COSTS, []).bars
    for left, right in itertools.pairwise(bars):
        assert left.x + left.width < right.x
    assert bars[-1].x + bars[-1].width <= 100.0


def test_a_network_that_loses_nothing_can_be_plotted() -> None:
    nothing = Sensitivity(tuple(GroupCost(g.name, g.nodes, 0.0, 1) for g in GROUPS), 0.0, 1)
    assert [bar.height for bar in sensitivity_plot(nothing, []).bars] == [0.0, 0.0, 0.0]
