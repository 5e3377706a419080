"""The picture's own grid for a branch: where its zero point lies, what it clips, what it leaves."""

import numpy as np
import pytest

from quant.numerics.affine import INTEGER_TYPES, covered_range
from quant.numerics.distribution import Distribution
from quant.numerics.picture_grid import PICTURE_STEP, picture_grid
from quant.numerics.pre_activation_scale import Affine, round_trip

UINT8, INT8 = INTEGER_TYPES["uint8"], INTEGER_TYPES["int8"]
RNG = np.random.default_rng(0)
BRANCHES = {
    "within": RNG.uniform(-0.3, 0.3, 2000),
    "bright": RNG.uniform(-0.2, 0.8, 2000),
    "beyond": RNG.normal(0.1, 0.4, 2000),
    "nothing": np.zeros(1),
}


def distribution(values: np.ndarray) -> Distribution:
    values = np.sort(values)
    return Distribution(values, np.ones(len(values)), float(values[0]), float(values[-1]))


def clipped(values: np.ndarray, zero: int, integer) -> float:
    low, high = covered_range(PICTURE_STEP, zero, integer)
    return float(np.square(values - values.clip(low, high)).mean())


@pytest.mark.parametrize("integer", [UINT8, INT8], ids=lambda integer: integer.name)
@pytest.mark.parametrize("branch", BRANCHES)
def test_no_zero_point_clips_less(branch: str, integer) -> None:
    values = BRANCHES[branch]
    grid, error = picture_grid(distribution(values), integer, symmetric=False)
    least = min(clipped(values, zero, integer) for zero in range(integer.qmin, integer.qmax + 1))
    assert grid.scale == PICTURE_STEP
    assert error == pytest.approx(least, abs=1e-12)
    assert clipped(values, grid.zero_point, integer) == pytest.approx(least, abs=1e-12)


def test_zero_stays_zero_where_it_has_to() -> None:
    grid, error = picture_grid(distribution(BRANCHES["beyond"]), INT8, symmetric=True)
    assert grid == Affine(PICTURE_STEP, 0)
    assert error == pytest.approx(clipped(BRANCHES["beyond"], 0, INT8))


def test_of_zero_points_that_clip_nothing_the_most_even_is_taken() -> None:
    grid, error = picture_grid(distribution(BRANCHES["within"]), UINT8, symmetric=False)
    assert error == 0.0
    assert grid.zero_point in {127, 128}


def test_an_8_bit_picture_is_the_same_with_the_branch_rounded_or_not() -> None:
    picture = RNG.integers(0, 256, 2000).astype(np.float32) / np.float32(255)
    branch = BRANCHES["within"].astype(np.float32)
    grid, _ = picture_grid(distribution(BRANCHES["within"]), UINT8, symmetric=False)
    rounded = round_trip(branch.astype(np.float64), grid, UINT8)
    steps, exact = (np.rint((value + picture).clip(0, 1) * 255.0) for value in (rounded, branch))
    assert np.array_equal(steps, exact)
    other = round_trip(branch.astype(np.float64), Affine(1.1 / 255, 128), UINT8)
    assert np.mean(np.rint((other + picture).clip(0, 1) * 255.0) != exact) > 0.05
