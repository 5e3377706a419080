"""Distributions, their least-squares distributions, and the pair before a LeakyReLU."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.histogram import Histogram
from quant.analysis.tensor_distributions import distribution_of
from quant.numerics.affine import INTEGER_TYPES, affine_parameters, dequantize, quantize
from quant.numerics.distribution import Distribution, least_squares_range, merge
from quant.numerics.pre_activation_scale import Affine, chain_errors, choose_before_activation

UINT8, INT8 = INTEGER_TYPES["uint8"], INTEGER_TYPES["int8"]
SLOPE = 0.2


def seen(values: np.ndarray) -> Distribution:
    values = values.astype(np.float32)
    return distribution_of(Histogram.of(values, float(values.min()), float(values.max())))


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0, values * SLOPE, values)


def squared_error(values: np.ndarray, low: float, high: float, *, symmetric: bool) -> float:
    integer = INT8 if symmetric else UINT8
    scale, zero_point = affine_parameters(low, high, integer, symmetric=symmetric)
    back = dequantize(quantize(values, scale, zero_point, integer), scale, zero_point)
    return float(np.mean((back - values) ** 2))


SHAPES = {
    "gauss": lambda g: g.normal(0.3, 1.0, 50_000),
    "heavy": lambda g: g.standard_t(3, 50_000),
    "leaky": lambda g: leaky(g.normal(0.0, 1.0, 50_000)),
    "positive": lambda g: g.gamma(2.0, 1.0, 50_000),
}


@pytest.mark.parametrize("symmetric", [False, True], ids=["affine", "symmetric"])
@pytest.mark.parametrize("shape", SHAPES)
def test_least_squares_range_beats_every_percentile(shape: str, symmetric: bool) -> None:
    values = SHAPES[shape](np.random.default_rng(1)).astype(np.float32)
    distribution = seen(values)
    low, high = least_squares_range(distribution, INT8 if symmetric else UINT8, symmetric=symmetric)
    ours = squared_error(values, low, high, symmetric=symmetric)
    for percentile in (99.0, 99.9, 99.99, 99.999, 100.0):
        other = squared_error(
            values, *distribution.percentile_range(percentile), symmetric=symmetric
        )
        assert ours <= other * 1.02


@pytest.mark.parametrize("symmetric", [False, True], ids=["affine", "symmetric"])
def test_a_range_widens_with_the_weight_of_clipping(symmetric: bool) -> None:
    values = SHAPES["heavy"](np.random.default_rng(1)).astype(np.float32)
    integer = INT8 if symmetric else UINT8
    ranges = [
        least_squares_range(
            seen(values), integer, symmetric=symmetric, clipping_weight=clipping_weight
        )
        for clipping_weight in (0.1, 1.0, 10.0)
    ]
    lows, highs = zip(*ranges, strict=True)
    assert highs[0] < highs[1] < highs[2]
    assert lows[0] > lows[1] > lows[2]
    assert highs[2] == pytest.approx(np.abs(values).max() if symmetric else values.max())


@given(st.integers(0, 2**32 - 1), st.floats(90.0, 100.0))
def test_percentiles_commute_with_the_inverse_of_leaky_relu(seed: int, percentile: float) -> None:
    inputs = np.random.default_rng(seed).normal(0.1, 1.0, 400)
    behind = seen(leaky(inputs))
    low, high = behind.percentile_range(percentile)
    before_low, before_high = behind.before_leaky(SLOPE).percentile_range(percentile)
    width = (behind.maximum - behind.minimum) / 2048
    assert leaky(np.array(before_low)) == pytest.approx(low, abs=width)
    assert before_high == pytest.approx(high, abs=width / SLOPE)


@given(st.integers(0, 2**32 - 1))
def test_merging_equals_seeing_both(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = generator.normal(0, 1, 300), generator.normal(1, 2, 500)
    merged = merge([seen(first), seen(second)])
    together = np.concatenate([first, second])
    assert merged.counts.sum() == 800
    assert merged.minimum == np.float32(together.min())
    assert merged.maximum == np.float32(together.max())
    assert (np.diff(merged.values) >= 0).all()
    mean = float(merged.values @ merged.counts / 800)
    assert mean == pytest.approx(float(together.mean()), abs=0.01)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_percentile_widens_with_the_percentage(seed: int) -> None:
    distribution = seen(np.random.default_rng(seed).standard_t(3, 500))
    ranges = [distribution.percentile_range(p) for p in (90.0, 99.0, 99.9, 100.0)]
    lows, highs = zip(*ranges, strict=True)
    assert list(lows) == sorted(lows, reverse=True)
    assert list(highs) == sorted(highs)


def test_chain_error_is_the_error_of_the_whole_chain() -> None:
    inputs = np.random.default_rng(3).normal(0.0, 1.0, 200_000).astype(np.float32)
    before, behind = Affine(0.02, 150), Affine(0.013, 40)
    rounded = dequantize(
        quantize(inputs, before.scale, before.zero_point, UINT8), before.scale, before.zero_point
    )
    activated = leaky(rounded)
    final = dequantize(
        quantize(activated, behind.scale, behind.zero_point, UINT8),
        behind.scale,
        behind.zero_point,
    )
    expected = float(np.mean((final - leaky(inputs)) ** 2))
    (found,) = chain_errors(seen(leaky(inputs)), SLOPE, UINT8, [before], behind)
    assert found == pytest.approx(expected, rel=0.03)


def test_pair_before_leaky_relu_shares_the_scale_behind_it_where_that_costs_less() -> None:
    activated = seen(leaky(np.random.default_rng(4).normal(0.0, 1.0, 100_000)))
    low, high = least_squares_range(activated, UINT8, symmetric=False)
    # As in a dense block: the scale behind serves wider tensors too.
    behind = Affine(*affine_parameters(2 * low, 2 * high, UINT8, symmetric=False))
    chosen = choose_before_activation(activated, SLOPE, UINT8, behind, symmetric=False)
    plain_low, plain_high = least_squares_range(
        activated.before_leaky(SLOPE), UINT8, symmetric=False
    )
    plain = Affine(*affine_parameters(plain_low, plain_high, UINT8, symmetric=False))
    assert chosen.scale == behind.scale
    ours, theirs = chain_errors(activated, SLOPE, UINT8, [chosen, plain], behind)
    assert ours < 0.8 * theirs


def test_symmetric_pair_before_leaky_relu_has_zero_point_0() -> None:
    activated = seen(leaky(np.random.default_rng(4).normal(0.0, 1.0, 10_000)))
    chosen = choose_before_activation(activated, SLOPE, INT8, Affine(0.02, 0), symmetric=True)
    assert chosen.zero_point == 0
