"""The pair before a LeakyReLU: against arithmetic by hand, and against all grids there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant.numerics.affine import INTEGER_TYPES, IntegerType, affine_parameters, covered_range
from quant.numerics.distribution import Distribution
from quant.numerics.pre_activation_scale import (
    Affine,
    chain_errors,
    choose_before_activation,
    round_trip,
)

UINT8, INT8 = INTEGER_TYPES["uint8"], INTEGER_TYPES["int8"]

affines = st.builds(Affine, st.floats(1e-3, 10.0), st.integers(0, 255))
counted = st.lists(
    st.tuples(st.floats(-50, 50), st.integers(1, 1000)), min_size=1, max_size=20
)  # values with their counts


def distribution(values: np.ndarray, counts: np.ndarray | None = None) -> Distribution:
    order = np.argsort(values)
    counts = np.ones(len(values)) if counts is None else counts
    return Distribution(values[order], counts[order].astype(np.float64), values.min(), values.max())


def activated(seed: int, shift: float, slope: float, count: int = 400) -> Distribution:
    """What a LeakyReLU makes of normal values around ``shift``."""
    before = np.random.default_rng(seed).normal(shift, 1.0, count)
    return distribution(np.where(before < 0, slope * before, before))


def pair(value: float, affine: Affine, integer: IntegerType) -> float:
    """Quantize and dequantize one number as ONNX words it; Python rounds half to even too."""
    code = min(max(round(value / affine.scale) + affine.zero_point, integer.qmin), integer.qmax)
    return (code - affine.zero_point) * affine.scale


def leaky(value: float, slope: float) -> float:
    return slope * value if value < 0 else value


def clips(value: float, affine: Affine) -> bool:
    low, high = covered_range(affine.scale, affine.zero_point, UINT8)
    return not low <= value <= high


def chain_by_hand(
    made: Distribution, slope: float, before: Affine, behind: Affine, weight: float
) -> float:
    total = 0.0
    for value, count in zip(made.values.tolist(), made.counts.tolist(), strict=True):
        entered = value / slope if value < 0 else value
        left = pair(leaky(pair(entered, before, UINT8), slope), behind, UINT8)
        counted = weight if clips(entered, before) or clips(value, behind) else 1.0
        total += counted * count * (left - value) ** 2
    return total / made.counts.sum()


@given(counted, st.floats(0.01, 1.0), affines, affines, st.sampled_from([1.0, 4.0]))
def test_the_error_of_a_chain_is_that_of_its_values_one_by_one(
    values, slope, before, behind, weight
) -> None:
    made = distribution(*(np.array(column, np.float64) for column in zip(*values, strict=True)))
    (found,) = chain_errors(made, slope, UINT8, [before], behind, clipping_weight=weight)
    by_hand = chain_by_hand(made, slope, before, behind, weight)
    assert found == pytest.approx(by_hand, abs=1e-9)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1), affines, st.sampled_from([UINT8, INT8]))
def test_a_pair_rounds_by_half_a_step_within_its_range_and_is_idempotent(
    values, affine, integer
) -> None:
    array = np.array(values)
    rounded = round_trip(array, affine, integer)
    low = (integer.qmin - affine.zero_point) * affine.scale
    high = (integer.qmax - affine.zero_point) * affine.scale
    inside = (array >= low) & (array <= high)
    assert np.all(np.abs(rounded - array)[inside] <= affine.scale / 2 * (1 + 1e-9))
    np.testing.assert_array_equal(rounded[array < low], low)
    np.testing.assert_array_equal(rounded[array > high], high)
    np.testing.assert_array_equal(round_trip(rounded, affine, integer), rounded)


@pytest.mark.parametrize("slope", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("shift", [-2.0, 0.0, 2.0], ids=["negative", "even", "positive"])
def test_the_choice_is_near_the_best_of_all_zero_points_and_many_steps(shift, slope) -> None:
    made = activated(1, shift, slope)
    behind = Affine(*affine_parameters(made.minimum, made.maximum, UINT8, symmetric=False))
    found = choose_before_activation(made, slope, UINT8, behind, symmetric=False)
    every = [
        Affine(behind.scale * ratio, zero_point)
        for ratio in (*np.geomspace(0.5, 4.0, 25), 1.0)
        for zero_point in range(256)
    ]
    best = chain_errors(made, slope, UINT8, every, behind).min()
    assert chain_errors(made, slope, UINT8, [found], behind)[0] <= 1.1 * best


def test_the_second_rounding_adds_nothing_on_the_same_step() -> None:
    made = activated(2, 1.0, 0.2)
    behind = Affine(*affine_parameters(made.minimum, made.maximum, UINT8, symmetric=False))
    before = Affine(behind.scale, 100)
    positive = made.values[made.values > 0]
    once = round_trip(positive, before, UINT8)
    np.testing.assert_allclose(round_trip(once, behind, UINT8), once, rtol=1e-12)


@pytest.mark.parametrize("slope", [0.05, 0.2, 1.0])
def test_without_a_pair_behind_only_the_first_rounding_counts(slope) -> None:
    before = np.random.default_rng(3).normal(-0.5, 1.0, 4000)
    made = distribution(np.where(before < 0, slope * before, before))

    def error(scale: float, zero_point: int) -> float:
        codes = np.clip(np.rint(before / scale) + zero_point, 0, 255)
        rounded = (codes - zero_point) * scale
        gain = np.where(rounded < 0, slope, 1.0)
        return np.mean((gain * rounded - np.where(before < 0, slope, 1.0) * before) ** 2)

    found = choose_before_activation(made, slope, UINT8, None, symmetric=False)
    widest = (before.max() - before.min()) / 255
    best = min(
        error(widest * share, zero_point)
        for share in np.linspace(0.3, 1.05, 16)
        for zero_point in range(0, 256, 5)
    )
    assert error(found.scale, found.zero_point) <= 1.1 * best


@pytest.mark.parametrize("behind", [None, Affine(0.02, 0)], ids=["alone", "pair behind"])
def test_a_symmetric_pair_has_zero_point_0(behind) -> None:
    made = activated(4, 0.0, 0.2)
    assert choose_before_activation(made, 0.2, INT8, behind, symmetric=True).zero_point == 0
