"""Errors of a ladder of steps against values that are quantized, and the best of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant.numerics.channel_steps import STEPS_PER_OCTAVE, StepErrors


def channels(*rows: np.ndarray, slopes: tuple[float, ...] = (), symmetric: bool = True):
    values = np.sort(np.stack(rows), axis=1)
    given_ = np.array(slopes or (1.0,) * len(rows))
    return StepErrors.of(values, np.ones_like(values), given_, symmetric=symmetric)


def normal(scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, scale, 20_000)


def step_of(exponent: int) -> float:
    return 2.0 ** (exponent / STEPS_PER_OCTAVE)


@pytest.mark.parametrize("away", [-8, -3, 0, 3, 8])
def test_errors_are_those_of_quantized_values(away: int) -> None:
    values = normal()
    errors = channels(values)
    exponent = int(errors.best[0]) + away
    step = step_of(exponent)
    rounded = np.clip(np.rint(values / step) * step, -127.5 * step, 127.5 * step)
    found = errors.at(np.array([[exponent]]))[0, 0, 0]
    assert found == pytest.approx(np.square(rounded - values).mean(), rel=0.05)


@pytest.mark.parametrize("slope", [0.05, 0.2, 0.7])
def test_clipping_before_an_activation_costs_what_is_missing_behind_it(slope: float) -> None:
    inputs = normal()
    outputs = np.where(inputs < 0.0, inputs * slope, inputs)
    errors = channels(outputs, slopes=(slope,))
    step = step_of(errors.first)  # so small that all error is clipping's
    clipped = np.clip(inputs, -127.5 * step, 127.5 * step)
    behind = np.where(clipped < 0.0, clipped * slope, clipped)
    assert errors.errors[0, 0, 0] == pytest.approx(
        np.square(behind - outputs).mean() + step**2 / 12.0, rel=1e-6
    )


def test_a_free_zero_point_suits_values_of_one_sign() -> None:
    one_sided = np.abs(normal())
    free, middle = channels(one_sided, symmetric=False), channels(one_sided)
    assert free.best[0] < middle.best[0]
    assert free.errors.min() < 0.6 * middle.errors.min()


@given(octaves=st.integers(-6, 6), seed=st.integers(0, 99))
def test_the_best_step_goes_with_the_values(octaves: int, seed: int) -> None:
    values = normal(seed=seed)
    one, other = channels(values, values * 2.0**octaves).best
    assert other - one == octaves * STEPS_PER_OCTAVE


def test_one_value_in_a_million_is_not_covered() -> None:
    values = np.append(np.sort(normal()), 10.0)[np.newaxis]
    counts = np.append(np.full(20_000, 50.0), 1.0)[np.newaxis]
    spoiled = StepErrors.of(values, counts, np.ones(1), symmetric=True)
    covering = 10.0 / 127.5
    assert step_of(spoiled.best[0]) < 0.6 * covering


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_more_clipping_weighs_the_more_a_step_covers(symmetric: bool) -> None:
    values, ones = np.sort(np.random.default_rng(0).standard_t(4, 200_000))[np.newaxis], np.ones(1)
    counts = np.ones_like(values)
    found = [
        StepErrors.of(values, counts, ones, symmetric=symmetric, clipping_weight=weight).best[0]
        for weight in (1.0, 4.0, 1e6)
    ]
    assert found[0] < found[1] < found[2]
    assert not symmetric or 127.5 * step_of(found[2]) > 0.99 * np.abs(values).max()


def test_beyond_the_ladder_no_step_is_better() -> None:
    errors = channels(normal())
    ends = [errors.first, errors.first + errors.errors.shape[2] - 1]
    beyond = errors.at(np.array([[ends[0] - 8, ends[0], ends[1], ends[1] + 8]]))[0, 0]
    assert beyond[0] == pytest.approx(4.0 * beyond[1])
    assert beyond[3] == pytest.approx(4.0 * beyond[2])


def test_channels_of_nothing_are_told() -> None:
    errors = channels(normal(), np.zeros(20_000), normal(1e-9))
    assert errors.living.tolist() == [True, False, False]
    assert np.isfinite(errors.errors).all()
    assert not channels(np.zeros(8)).living.any()
    assert channels(-np.abs(normal())).living.all()
