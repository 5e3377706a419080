"""Range plots: the worst tensors first, and a picture that opens."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.errors import CalibrationError, UsageError
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable

pytest.importorskip("matplotlib", reason="needs the extra esrdeploy[plot]")
from calib.plot import mean_square, plot_ranges, relative_loss, worst_tensors


@pytest.fixture(scope="module")
def table() -> CalibrationTable:
    rng = np.random.default_rng(0)
    values = {
        "narrow": rng.normal(0, 1, (1, 1, 100, 100)),
        "tailed": rng.standard_t(3, (1, 1, 100, 100)),
        "constant": np.full((1, 1, 4, 4), 0.25),
        "zero": np.zeros((1, 1, 4, 4)),
    }
    tensors = {name: TensorStatistics.of(v.astype(np.float32)) for name, v in values.items()}
    return CalibrationTable("0" * 64, {"patches": []}, tensors)


def test_loss_is_error_over_power(table: CalibrationTable) -> None:
    values = np.random.default_rng(0).normal(0, 1, 10_000).astype(np.float32)
    histogram = table.tensors["narrow"].histogram
    assert mean_square(histogram) == pytest.approx(np.mean(values.astype(float) ** 2), rel=1e-5)
    scale = 4 / 255
    quantized = np.clip(np.rint(values / scale), -128, 127) * scale
    expected = np.mean((quantized - values) ** 2) / np.mean(values**2)
    assert relative_loss(histogram, (-128 * scale, 127 * scale)) == pytest.approx(expected, 0.02)


def test_the_worst_come_first(table: CalibrationTable) -> None:
    ranges = {"narrow": (-4.0, 4.0), "tailed": (-1.0, 1.0), "zero": (-1.0, 1.0)}
    worst = worst_tensors(table, ranges, 5)
    assert [name for name, _ in worst] == ["tailed", "narrow", "zero"]
    assert worst[-1][1] == 0
    assert worst_tensors(table, ranges, 1) == worst[:1]


def test_a_picture_is_written_and_named(table: CalibrationTable, tmp_path: Path) -> None:
    ranges = dict.fromkeys(table.tensors, (-2.0, 2.0))
    path = tmp_path / "ranges.png"
    plotted = plot_ranges(table, ranges, path, count=3)
    assert plotted[0] == "tailed"
    assert len(plotted) == 3
    picture = cv2.imread(str(path))
    assert picture.shape == (480, 1200, 3)
    assert picture.std() > 10
    first = path.read_bytes()
    plot_ranges(table, ranges, path, count=3)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "no ranges"),
        ({"ghost": (0.0, 1.0)}, "'ghost'"),
        ({"narrow": (1.0, 1.0)}, "positive length"),
    ],
    ids=["none", "unknown", "empty"],
)
def test_ranges_that_cannot_be_plotted_are_refused(
    table: CalibrationTable, tmp_path: Path, ranges: dict[str, tuple[float, float]], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        plot_ranges(table, ranges, tmp_path / "ranges.png")


def test_a_file_that_cannot_be_written_is_named(table: CalibrationTable, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        plot_ranges(table, {"narrow": (-1.0, 1.0)}, tmp_path / "absent" / "ranges.png")
