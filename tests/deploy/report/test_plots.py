"""Geometry of the plots: inside the box, in order, the worst marked, ranges where they belong."""

import itertools
import re

import numpy as np
import pytest

from deploy.metrics.layer_sqnr import LayerError, worst_layers
from deploy.report.plots import range_plot, sqnr_plot
from deploy.report.ranges import ChosenRange, relative_loss
from quant.numerics.distribution import Distribution
from quant.plan import EdgeQuant


def layer(number: int, sqnr_db: float, operator: str = "Conv") -> LayerError:
    block, conv = divmod(number, 5)
    node = f"/body/body.{block}/rdb1/conv{conv + 1}/{operator}"
    return LayerError(f"{node}_output_0", node, operator, sqnr_db, 0.99, "uint8")


@pytest.fixture
def layers() -> list[LayerError]:
    rng = np.random.default_rng(0)
    return [layer(number, float(db)) for number, db in enumerate(rng.uniform(15, 35, 60))]


def test_every_tensor_has_a_dot_in_graph_order(layers: list[LayerError]) -> None:
    plot = sqnr_plot(layers)
    assert len(plot.dots) == 60
    assert [dot.x for dot in plot.dots] == sorted(dot.x for dot in plot.dots)
    assert all(0 <= dot.x <= 100 and 0 <= dot.y <= 100 for dot in plot.dots)
    assert plot.line.count("L") == 59
    lower = min(range(60), key=lambda number: layers[number].sqnr_db)
    assert plot.dots[lower].y == max(dot.y for dot in plot.dots)


def test_the_ten_worst_are_marked_by_rank(layers: list[LayerError]) -> None:
    plot = sqnr_plot(layers)
    by_rank = {dot.rank: dot.title for dot in plot.dots if dot.rank}
    assert sorted(by_rank) == list(range(1, 11))
    worst = worst_layers(layers, 10)
    assert [by_rank[rank].partition(":")[0] for rank in range(1, 11)] == [w.tensor for w in worst]


def test_equal_tensors_do_not_stretch_the_scale(layers: list[LayerError]) -> None:
    plot = sqnr_plot([layer(0, 200.0), *layers[1:]])
    assert plot.y_ticks[-1].text == "40"
    assert plot.dots[0].y == 0
    assert ": identical, " in plot.dots[0].title


def test_a_negative_sqnr_lowers_the_floor() -> None:
    plot = sqnr_plot([layer(0, -12.0), layer(1, 30.0)])
    assert plot.y_ticks[0].text == "-20"
    assert all(0 <= dot.y <= 100 for dot in plot.dots)


def test_parts_are_labelled_where_they_begin(layers: list[LayerError]) -> None:
    ticks = sqnr_plot(layers).x_ticks
    assert ticks[0].text == "body.0"
    assert all(b.at - a.at >= 11 for a, b in itertools.pairwise(ticks))
    assert ticks[-1].at < 90


def test_a_single_tensor_can_be_plotted() -> None:
    plot = sqnr_plot([layer(0, 30.0)])
    assert (plot.dots[0].x, plot.dots[0].rank) == (50.0, 1)


def chosen(values: np.ndarray, scale: float, zero_point: int) -> ChosenRange:
    """A tensor of these values in the 256 steps of ``scale`` around ``zero_point``."""
    found, counts = np.unique(values, return_counts=True)
    distribution = Distribution(found, counts.astype(float), float(found[0]), float(found[-1]))
    low, high = (0 - zero_point) * scale, (255 - zero_point) * scale
    inside = 100.0 * float(((values >= low) & (values <= high)).mean())
    edge = EdgeQuant("t", "uint8", scale, zero_point, low, high, "least squares", (), None, inside)
    return ChosenRange(edge, distribution, relative_loss(distribution, edge))


NORMAL = np.random.default_rng(0).normal(0, 1, 20_000)


def test_a_range_stands_where_its_values_are() -> None:
    plot = range_plot(chosen(NORMAL, 3 / 255, 85))
    span = NORMAL.max() - NORMAL.min()
    assert plot.chosen == pytest.approx((-1.0, 2.0))
    assert plot.low == pytest.approx(100 * (-1 - NORMAL.min()) / span, abs=0.01)
    assert plot.high == pytest.approx(100 * (2 - NORMAL.min()) / span, abs=0.01)
    assert [tick.text for tick in plot.x_ticks] == ["-1", "2"]  # 0 would touch -1
    assert float(plot.percentile.split()[0]) == pytest.approx(100 - 15.87 - 2.28, abs=1.0)
    assert plot.rule == "least squares"


def test_a_range_wider_than_the_values_makes_room() -> None:
    plot = range_plot(chosen(NORMAL, 20 / 255, 127))
    assert (plot.low, plot.high, plot.percentile) == (0.0, 100.0, "100 %")
    assert [tick.text for tick in plot.x_ticks] == ["-9.96", "0", "10"]
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", plot.bars)]
    assert all(0 <= number <= 100 for number in numbers)
    low, high = plot.chosen
    assert min(numbers[::2]) == pytest.approx(100 * (NORMAL.min() - low) / (high - low), abs=0.01)


def test_a_constant_tensor_can_be_plotted() -> None:
    plot = range_plot(chosen(np.full(5, 0.25), 0.5 / 255, 0))
    assert plot.percentile == "100 %"
    assert 45 < float(plot.bars[1:].split()[0]) < 50


def test_the_loss_is_error_over_power() -> None:
    # Rounding of many small steps is uniform noise of variance scale^2 / 12 (power is 1 here).
    assert chosen(NORMAL, 12 / 255, 127).loss == pytest.approx((12 / 255) ** 2 / 12, rel=0.02)
    assert chosen(np.zeros(5), 1.0, 0).loss == 0
    tail = np.minimum(NORMAL, 2) - NORMAL
    assert chosen(NORMAL, 6 / 255, 170).loss == pytest.approx(
        np.mean(tail**2) + (6 / 255) ** 2 / 12, rel=0.05
    )
