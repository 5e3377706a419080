"""What narrow calibration pictures are told: nothing where photographs show enough."""

import numpy as np
import pytest

from calib.arrays import Float32
from calib.colours import RGB
from calib.coverage import not_covered
from calib.images import to_input
from calib.images_record import ImagesRecord, PatchRecord
from calib.sample import sample_patches
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable
from calib.tile import Size

SHOWN = [to_input(patch.load(), RGB) for patch in sample_patches("calibration", 4).patches]


def table_of(pictures: list[Float32], digests: str = "abcd") -> CalibrationTable:
    first, *others = [TensorStatistics.of(picture) for picture in pictures]
    for other in others:
        first = first.merge(other)
    patches = tuple(PatchRecord(f"{n}.png", digest * 64) for n, digest in enumerate(digests))
    images = ImagesRecord(
        "folder", "whole", 0, None, len(patches), Size(), "0" * 64, patches, degradation=None
    )
    elsewhere = TensorStatistics.of(np.zeros((1, 2, 4, 4), np.float32))
    return CalibrationTable("0" * 64, images, {"input": first, "inner": elsewhere})


def on_grid(pictures: list[Float32]) -> list[Float32]:
    return [np.round(picture * 255).astype(np.float32) / 255 for picture in pictures]


def tinted(red: float, green: float, blue: float) -> list[Float32]:
    factors = np.reshape((red, green, blue), (1, 3, 1, 1))
    return on_grid([picture * factors for picture in SHOWN])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_photographs_show_enough(count: int) -> None:
    assert [*not_covered(table_of(SHOWN[:count]))] == []


@pytest.mark.parametrize(
    ("pictures", "found"),
    [
        (tinted(0.5, 0.5, 0.5), ["hardly a value is above 128 of 255"]),
        (on_grid([0.4 + 0.6 * p for p in SHOWN]), ["hardly a value is below 102 of 255"]),
        (
            on_grid([p.mean(axis=1, keepdims=True).repeat(3, 1) for p in SHOWN]),
            ["none has a colour"],
        ),
        (tinted(1.0, 1.0, 0.4), ["hardly a blue value is above"]),
        (tinted(1.0, 0.3, 0.3), ["hardly a green value is above", "hardly a blue value is above"]),
        ([np.full((1, 3, 8, 8), 0.5, np.float32)], ["above 128", "below 128", "none has a colour"]),
    ],
    ids=["dark", "bright", "gray", "yellow", "red", "flat"],
)
def test_what_is_not_shown_is_named(pictures: list[Float32], found: list[str]) -> None:
    lines = [*not_covered(table_of(pictures))]
    assert len(lines) == len(found)
    for line, words in zip(lines, found, strict=True):
        assert words in line


def test_one_picture_many_times_is_named() -> None:
    (line,) = not_covered(table_of(SHOWN, "aaab"))
    assert line == "2 of 4 calibration pictures are the same as another one"


def test_a_network_of_gray_pictures_misses_no_colour() -> None:
    gray = on_grid([picture.mean(axis=1, keepdims=True) for picture in SHOWN])
    assert [*not_covered(table_of(gray))] == []
    dark = [*not_covered(table_of(on_grid([picture * 0.3 for picture in gray])))]
    assert len(dark) == 1
