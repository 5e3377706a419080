"""Histograms and statistics: exact merging, percentiles to one bin."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calib.errors import CalibrationError
from calib.histogram import EXPONENT_MIN, MAX_BINS, Histogram
from calib.statistics import MEAN_UNIT, TensorStatistics

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
# Magnitudes of activations: where means are compared with numpy's.
MODERATE = st.floats(-1000, 1000, width=32)


def arrays() -> st.SearchStrategy:
    return hnp.arrays(np.float32, st.integers(1, 200), elements=FLOAT32)


def histogram(values: np.ndarray) -> Histogram:
    values = np.asarray(values, np.float32)
    return Histogram.of(values, float(values.min()), float(values.max()))


def assert_same_histogram(found: Histogram, expected: Histogram) -> None:
    assert found.counts.dtype == expected.counts.dtype == np.int64
    assert (found.exponent, found.first_bin) == (expected.exponent, expected.first_bin)
    assert found.counts.tobytes() == expected.counts.tobytes()
    extremes = [(h.minimum.hex(), h.maximum.hex()) for h in (found, expected)]
    assert extremes[0] == extremes[1]


def activations(size: int = 100_000, seed: int = 0) -> np.ndarray:
    """Values as a LeakyReLU leaves them, with a heavy tail."""
    values = np.random.default_rng(seed).standard_t(4, size)
    return np.where(values < 0, 0.2 * values, values).astype(np.float32)


@given(arrays(), arrays())
@example(np.float32([-1e-45]), np.float32([3e38]))  # an underflow that must not reach bin 0
@example(np.float32([0.0]), np.float32([1e-30]))
@example(np.float32([-0.0]), np.float32([0.0]))
@example(np.float32([1e30]), np.float32([-1e-30]))
def test_merge_equals_observing_both(a: np.ndarray, b: np.ndarray) -> None:
    together = histogram(np.concatenate([a, b]))
    assert_same_histogram(histogram(a).merge(histogram(b)), together)
    assert_same_histogram(histogram(b).merge(histogram(a)), together)


@given(st.lists(arrays(), min_size=3, max_size=5))
def test_merge_is_associative(parts: list[np.ndarray]) -> None:
    left = right = histogram(parts[0])
    for part in parts[1:]:
        left = left.merge(histogram(part))
    for part in reversed(parts[1:]):
        right = histogram(part).merge(right)
    assert_same_histogram(left, right)


@given(arrays())
def test_each_value_lies_in_its_bin(values: np.ndarray) -> None:
    found = histogram(values)
    indices = np.floor(np.ldexp(values.astype(np.float64), -found.exponent)).astype(np.int64)
    expected = np.bincount(indices - found.first_bin)
    np.testing.assert_array_equal(found.counts, expected)
    assert found.total == values.size
    assert len(found.counts) <= MAX_BINS


@given(arrays())
def test_bin_width_keeps_its_bound(values: np.ndarray) -> None:
    found = histogram(values)
    spread = 2 * (found.maximum - found.minimum) / (MAX_BINS - 1)
    magnitude = max(abs(found.minimum), abs(found.maximum))
    assert found.width <= max(spread, 2.0**-23 * magnitude, math.ldexp(1, EXPONENT_MIN))


@given(arrays(), st.lists(st.floats(0, 100), min_size=1))
def test_percentile_is_numpys_to_one_bin(values: np.ndarray, percents: list[float]) -> None:
    found = histogram(values)
    expected = np.percentile(values.astype(np.float64), percents)
    tolerance = found.width + 1e-12 * (found.maximum - found.minimum)
    for percent, value in zip(percents, expected, strict=True):
        assert abs(found.percentile(percent) - value) <= tolerance


@given(arrays(), st.lists(st.floats(0, 100), min_size=2))
def test_percentile_is_monotone_within_the_extremes(
    values: np.ndarray, percents: list[float]
) -> None:
    found = histogram(values)
    points = [found.percentile(percent) for percent in (0, *sorted(percents), 100)]
    slack = 1e-12 * (found.maximum - found.minimum)
    assert all(a <= b + slack for a, b in itertools.pairwise(points))
    assert points[0] == found.minimum
    assert points[-1] == found.maximum


def test_percentile_on_many_values_is_within_one_part_in_a_thousand() -> None:
    values = activations(1_000_000)
    found = histogram(values)
    for percent in (0.01, 0.1, 1, 50, 99, 99.9, 99.99, 99.999):
        error = found.percentile(percent) - np.percentile(values.astype(np.float64), percent)
        assert abs(error) <= 1e-3 * (found.maximum - found.minimum)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3e-20, 1e38, 1e-45], ids=str)
def test_constant_values(value: float) -> None:
    found = histogram(np.full(10, value, np.float32))
    assert len(found.counts) == 1
    assert found.percentile(37.5) == np.float32(value)


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan])
def test_percentiles_outside_0_to_100_are_refused(percent: float) -> None:
    with pytest.raises(CalibrationError, match=r"\[0, 100\]"):
        histogram(np.float32([1, 2])).percentile(percent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exponent": -5}, r"need .* = \(-11, 0, 2049\), found \(-5, 0, 2049\)"),
        ({"first_bin": 1}, r"need .* = \(-11, 0, 2049\), found \(-11, 1, 2049\)"),
        ({"minimum": math.nan}, r"cannot have the extremes \(nan, 1.0\)"),
        ({"maximum": -1.0}, r"cannot have the extremes \(0.0, -1.0\)"),
        ({"counts": np.int64([1, 2])}, r"found \(-11, 0, 2\); the histogram is corrupt"),
    ],
    ids=["exponent", "first_bin", "minimum", "maximum", "counts"],
)
def test_histograms_that_contradict_themselves_are_refused(
    change: dict[str, object], message: str
) -> None:
    good = histogram(np.float32([0, 0.5, 1]))
    fields = {name: getattr(good, name) for name in Histogram.__dataclass_fields__}
    with pytest.raises(CalibrationError, match=message):
        Histogram(**{**fields, **change})


@given(hnp.arrays(np.float32, (6, 1, 3, 4, 5), elements=MODERATE), st.integers(1, 5))
def test_statistics_merge_exactly(images: np.ndarray, cut: int) -> None:
    one_by_one = [TensorStatistics.of(image) for image in images]

    def merged(parts: list[TensorStatistics]) -> TensorStatistics:
        total = parts[0]
        for part in parts[1:]:
            total = total.merge(part)
        return total

    expected = merged(one_by_one)
    found = merged(one_by_one[cut:][::-1]).merge(merged(one_by_one[:cut]))
    assert_same_histogram(found.histogram, expected.histogram)
    assert_same_histogram(found.histogram, histogram(images))
    assert found.observations == 6
    np.testing.assert_array_equal(found.channel_mean_sum, expected.channel_mean_sum)
    np.testing.assert_array_equal(found.channels.abs_max, np.abs(images).max(axis=(0, 1, 3, 4)))
    mean = images.astype(np.float64).mean(axis=(0, 1, 3, 4))
    np.testing.assert_allclose(found.channel_mean, mean, rtol=0, atol=MEAN_UNIT)


def test_statistics_of_batches_and_vectors() -> None:
    batch = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(TensorStatistics.of(batch).channels.abs_max, [15, 19, 23])
    np.testing.assert_array_equal(TensorStatistics.of(batch).channel_mean, [7.5, 11.5, 15.5])
    np.testing.assert_array_equal(TensorStatistics.of(batch[0, 0]).channel_mean, [1.5])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(np.float32([1, math.nan, math.inf, -math.inf]), "1 NaN and 2 inf", id="nan"),
        pytest.param(np.float32([]), "expected float values", id="empty"),
        pytest.param(np.int64([1]), "expected float values", id="integers"),
    ],
)
def test_values_that_cannot_be_calibrated_on_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        TensorStatistics.of(values)


def test_statistics_of_different_tensors_do_not_merge() -> None:
    with pytest.raises(CalibrationError, match="cannot be merged"):
        TensorStatistics.of(np.ones((1, 2, 3), np.float32)).merge(
            TensorStatistics.of(np.ones((1, 3, 2), np.float32))
        )


def test_means_that_explode_are_refused() -> None:
    with pytest.raises(CalibrationError, match="explode"):
        TensorStatistics.of(np.full((1, 2), 1e30, np.float32))


@pytest.mark.parametrize("percentile", [50, 100.5])
def test_range_percentiles_outside_50_to_100_are_refused(percentile: float) -> None:
    with pytest.raises(CalibrationError, match=r"\(50, 100\]"):
        TensorStatistics.of(activations(100)).range(percentile)


def test_range_is_two_sided() -> None:
    values = activations()
    low, high = TensorStatistics.of(values).range(99.9)
    expected = np.percentile(values.astype(np.float64), [0.1, 99.9])
    np.testing.assert_allclose([low, high], expected, atol=histogram(values).width)
    assert TensorStatistics.of(values).range(100) == (values.min(), values.max())
