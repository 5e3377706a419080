"""GPTQ: never worse than nearest, within limits, near the optimum if small."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.numerics.saturation_limits import SaturationLimits
from quant.rounding.gptq import (
    DAMPING,
    DRIFT_LIMIT,
    ScaledWeight,
    SecondMoment,
    code_drift,
    gptq,
    gptq_together,
)

LIMIT = 127
PLAIN, SAFE = SaturationLimits(32), SaturationLimits(16)


def problem(
    seed: int, outputs: int, columns: int, samples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random weight, moment of correlated columns, and the scales of the largest weight."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((outputs, columns)).astype(np.float32)
    mixing = rng.standard_normal((columns, columns)) * rng.uniform(0, 3, columns)
    seen = (rng.standard_normal((samples, columns)) @ mixing).astype(np.float32)
    scales = (np.abs(weight).max(axis=1) / LIMIT).astype(np.float32)
    return weight, seen.T @ seen / np.float32(samples), scales


def nearest(weight: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return np.rint(weight / scales[:, None]).clip(-LIMIT, LIMIT).astype(np.int8)


def output_error(
    weight: np.ndarray, codes: np.ndarray, scales: np.ndarray, moment: np.ndarray
) -> np.ndarray:
    away = weight.astype(np.float64) - codes * scales.astype(np.float64)[:, None]
    return np.einsum("ok,kl,ol->o", away, moment.astype(np.float64), away)


@given(
    seed=st.integers(0, 2**32 - 1),
    outputs=st.integers(1, 5),
    columns=st.integers(1, 130),
    samples=st.integers(1, 200),
    shrink=st.floats(0.3, 1.5),
    limits=st.sampled_from([PLAIN, SAFE]),
)
def test_no_channel_is_worse_than_nearest(  # noqa: PLR0917  # hypothesis names them
    seed, outputs, columns, samples, shrink, limits
) -> None:
    weight, moment, scales = problem(seed, outputs, columns, samples)
    scales *= np.float32(shrink)
    codes = gptq(weight, SecondMoment.of(moment), scales, limits)
    assert codes.dtype == np.int8
    assert codes.shape == weight.shape
    assert limits.excess(codes) == 0
    plain = limits.round_to_nearest(weight / scales[:, None])
    found = output_error(weight, codes, scales, moment)
    # float32 decides between the two; beneath its resolution either may win.
    assert (found <= output_error(weight, plain, scales, moment) * (1 + 1e-3) + 1e-9).all()
    moved = (codes != plain).any(axis=1)
    assert (code_drift(weight, codes, scales, limits)[moved] <= DRIFT_LIMIT).all()


def test_correlated_inputs_lose_most_of_the_error() -> None:
    weight, moment, scales = problem(1, outputs=16, columns=300, samples=150)
    codes = gptq(weight, SecondMoment.of(moment), scales, PLAIN)
    gain = output_error(weight, codes, scales, moment) / output_error(
        weight, nearest(weight, scales), scales, moment
    )
    assert gain.max() < 0.5


def test_independent_inputs_round_to_nearest() -> None:
    weight, _, scales = problem(2, outputs=4, columns=40, samples=1)
    moment = np.diag(np.linspace(0.1, 5, 40)).astype(np.float32)
    np.testing.assert_array_equal(
        gptq(weight, SecondMoment.of(moment), scales, PLAIN), nearest(weight, scales)
    )


def test_two_equal_inputs_round_their_sum() -> None:
    """For one value read twice only w0 + w1 counts: 0.4 + 0.4 steps is 1 step, not 0."""
    weight = np.array([[0.4, 0.4]], np.float32)
    moment = SecondMoment.of(np.ones((2, 2), np.float32))
    codes = gptq(weight, moment, np.ones(1, np.float32), PLAIN)
    assert codes.sum() == 1


def test_it_comes_near_the_best_of_all_roundings() -> None:
    """Up or down for each of 8 weights, 30 channels: against the exhaustive optimum."""
    weight, moment, scales = problem(0, outputs=30, columns=8, samples=6)
    below = np.floor(weight / scales[:, None])
    every = [below + up for up in np.array(list(itertools.product((0, 1), repeat=8)))]
    every = [codes.clip(-LIMIT, LIMIT).astype(np.int8) for codes in every]
    best = np.min([output_error(weight, codes, scales, moment) for codes in every], axis=0)
    codes = gptq(weight, SecondMoment.of(moment), scales, PLAIN)
    lost = (output_error(weight, codes, scales, moment) - best).sum()
    lost_by_nearest = (output_error(weight, nearest(weight, scales), scales, moment) - best).sum()
    assert lost < 0.5 * lost_by_nearest


def test_columns_that_never_vary_keep_their_nearest_codes() -> None:
    weight, moment, scales = problem(3, outputs=3, columns=20, samples=50)
    moment[[4, 11]] = 0.0
    moment[:, [4, 11]] = 0.0
    codes = gptq(weight, SecondMoment.of(moment), scales, PLAIN)
    np.testing.assert_array_equal(codes[:, [4, 11]], nearest(weight, scales)[:, [4, 11]])
    nothing = gptq(weight, SecondMoment.of(np.zeros_like(moment)), scales, PLAIN)
    np.testing.assert_array_equal(nothing, nearest(weight, scales))


def test_the_size_of_the_input_changes_no_code() -> None:
    weight, moment, scales = problem(4, outputs=6, columns=50, samples=80)
    usual = gptq(weight, SecondMoment.of(moment), scales, PLAIN)
    for factor in (2.0**-60, 2.0**40):
        scaled = SecondMoment.of(moment * np.float32(factor))
        np.testing.assert_array_equal(gptq(weight, scaled, scales, PLAIN), usual)


def test_the_first_columns_need_no_factorization_of_their_own() -> None:
    weight, moment, scales = problem(5, outputs=6, columns=60, samples=80)
    whole = SecondMoment.of(moment / np.diag(moment).mean())
    part = whole.leading(40)
    damped = np.linalg.inv(part.inverse.T.astype(np.float64) @ part.inverse)
    np.testing.assert_allclose(
        damped, whole.matrix[:40, :40] + DAMPING * np.eye(40), rtol=1e-2, atol=1e-3
    )
    codes = gptq(weight[:, :40], part, scales, PLAIN)
    lost = output_error(weight[:, :40], codes, scales, part.matrix)
    plain = output_error(weight[:, :40], nearest(weight[:, :40], scales), scales, part.matrix)
    assert lost.sum() < 0.7 * plain.sum()


def test_drift_is_measured_in_steps() -> None:
    weight = np.array([[[1.0]], [[-2.0]]], np.float32)
    codes = np.array([[[1]], [[-1]]], np.int8)
    drift = code_drift(weight, codes, np.array([0.5, 2.0], np.float32), PLAIN)
    np.testing.assert_allclose(drift, [1.0, 0.0])


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), limits=st.sampled_from([PLAIN, SAFE]))
def test_weights_rounded_together_get_the_codes_each_gets_alone(seed, limits) -> None:
    """As in a dense block, whose convolutions join the walk one after the other; 70 has its own."""
    moment = SecondMoment.of(problem(seed, 1, 300, 400)[1])
    weights = []
    for number, columns in enumerate((108, 204, 70, 300)):
        weight, _, scales = problem(seed + number + 1, 3 + number, columns, 1)
        weights.append(ScaledWeight(weight.reshape(len(weight), -1, 2), scales, limits))
    together = gptq_together(weights, moment)
    for weight, found in zip(weights, together, strict=True):
        alone = gptq(weight.values, moment.leading(weight.columns), weight.scales, limits)
        np.testing.assert_array_equal(found, alone)
