"""What a range costs: against its definition, and the worst tensors first."""

import numpy as np
import pytest

from calib.histogram import Histogram
from calib.range_loss import coarse, mean_square, relative_loss, worst_tensors
from calib.table import CalibrationTable


def test_loss_is_error_over_power(varied_table: CalibrationTable) -> None:
    values = np.random.default_rng(0).normal(0, 1, 10_000).astype(np.float32)
    histogram = varied_table.tensors["narrow"].histogram
    assert mean_square(histogram) == pytest.approx(np.mean(values.astype(float) ** 2), rel=1e-5)
    scale = 4 / 255
    quantized = np.clip(np.rint(values / scale), -128, 127) * scale
    expected = np.mean((quantized - values) ** 2) / np.mean(values**2)
    assert relative_loss(histogram, (-128 * scale, 127 * scale)) == pytest.approx(expected, 0.02)


def test_the_worst_come_first(varied_table: CalibrationTable) -> None:
    ranges = {"narrow": (-4.0, 4.0), "tailed": (-1.0, 1.0), "zero": (-1.0, 1.0)}
    worst = worst_tensors(varied_table, ranges, 5)
    assert [name for name, _ in worst] == ["tailed", "narrow", "zero"]
    assert worst[-1][1] == 0
    assert worst_tensors(varied_table, ranges, 1) == worst[:1]


@pytest.mark.parametrize("bars", [1, 7, 512, 10_000])
def test_coarse_bars_keep_every_value(varied_table: CalibrationTable, bars: int) -> None:
    histogram = varied_table.tensors["tailed"].histogram
    edges, counts = coarse(histogram, bars)
    assert counts.sum() == histogram.total
    assert len(counts) <= bars
    assert len(edges) == len(counts) + 1
    assert (np.diff(edges) > 0).all()
    assert (edges[0], edges[-1]) == (histogram.minimum, histogram.maximum)


def test_a_constant_tensor_has_one_bar_of_some_width() -> None:
    edges, counts = coarse(Histogram.of(np.full(3, 0.25, np.float32), 0.25, 0.25), 10)
    assert edges[1] > edges[0]
    assert counts.tolist() == [3]
