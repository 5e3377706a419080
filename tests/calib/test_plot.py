"""Range plots: the worst tensor first, and a picture that opens."""

from pathlib import Path

import cv2
import pytest

from calib.errors import CalibrationError, UsageError
from calib.table import CalibrationTable

pytest.importorskip("matplotlib", reason="needs the extra esrdeploy[plot]")
from calib.plot import plot_ranges


def test_a_picture_is_written_and_named(varied_table: CalibrationTable, tmp_path: Path) -> None:
    ranges = dict.fromkeys(varied_table.tensors, (-2.0, 2.0))
    path = tmp_path / "ranges.png"
    plotted = plot_ranges(varied_table, ranges, path, count=3)
    assert plotted[0] == "tailed"
    assert len(plotted) == 3
    picture = cv2.imread(str(path))
    assert picture.shape == (480, 1200, 3)
    assert picture.std() > 10
    first = path.read_bytes()
    plot_ranges(varied_table, ranges, path, count=3)
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
    varied_table: CalibrationTable,
    tmp_path: Path,
    ranges: dict[str, tuple[float, float]],
    message: str,
) -> None:
    with pytest.raises(CalibrationError, match=message):
        plot_ranges(varied_table, ranges, tmp_path / "ranges.png")


def test_a_file_that_cannot_be_written_is_named(
    varied_table: CalibrationTable, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        plot_ranges(varied_table, {"narrow": (-1.0, 1.0)}, tmp_path / "absent" / "ranges.png")
