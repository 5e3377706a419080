"""Factors of channels between two convolutions: near the best of those around, each way round."""

from dataclasses import replace

import numpy as np
import pytest

from quant.numerics import channel_factors
from quant.numerics.channel_factors import (
    SMALLEST_SLOPE,
    STEPS_PER_OCTAVE,
    ChannelFactors,
    Channels,
    choose_factors,
)
from quant.numerics.grids import Grids

SAMPLES, ROWS = 1024, 6
PAIRED = Grids(symmetric=False, before_activation=True)
GRIDS = {
    "both": PAIRED,
    "behind": replace(PAIRED, before_activation=False),
    "symmetric": replace(PAIRED, symmetric=True),
    "symmetric behind": Grids(symmetric=True, before_activation=False),
    "clipping weighs": replace(PAIRED, clipping_weight=10.0),
}
SLOPES = (-0.8, -0.2, 0.0, 0.1, 0.5, 1.4)
SIZES = (0.1, 3.0, 1.0, 0.02, 8.0, 1.0)


def channels(slopes=SLOPES, sizes=SIZES, middle: float = -0.3, seed: int = 0) -> Channels:
    """Return normal channels of given sizes, read by random weights."""
    rng = np.random.default_rng(seed)
    count = len(slopes)
    values = rng.normal(middle, 1.0, (count, SAMPLES)) * np.array(sizes)[:, np.newaxis]
    weights = rng.normal(0.0, 1.0, (ROWS, count, 9)) / np.array(sizes)[:, np.newaxis]
    return Channels(
        values=np.sort(values, axis=1),
        shares=np.full(values.shape, 1.0 / SAMPLES),
        slopes=np.array(slopes),
        reversible=np.ones(count, bool),
        largest=np.abs(weights).max(axis=2),
        squares=np.square(weights).sum(axis=2),
        taps=9,
        rows=rng.uniform(0.5, 2.0, ROWS),
    )


def simulated(made: Channels, found: ChannelFactors, grids: Grids = PAIRED) -> float:
    """Return the least error behind grids of one step, over all zero points."""
    behind = np.exp2(found.exponents / STEPS_PER_OCTAVE)[:, np.newaxis]
    slopes = made.slopes[:, np.newaxis]
    turned = found.reversed[:, np.newaxis]
    slope = np.divide(1.0, slopes, out=slopes.copy(), where=turned)
    before = np.divide(-behind, np.abs(slopes), out=behind.copy(), where=turned)
    scaled = made.values / before
    exact = np.where(scaled < 0.0, scaled * slope, scaled)
    errors = []
    for zero in (128,) if grids.symmetric else range(0, 256, 4):
        low, high = -float(zero), float(255 - zero)
        read = np.rint(scaled).clip(low, high) if grids.before_activation else scaled
        given = np.where(read < 0.0, read * slope, read)
        inside = (exact >= low) & (exact <= high)
        if grids.before_activation:
            inside &= (scaled >= low) & (scaled <= high)
        lost = np.square((np.rint(given).clip(low, high) - exact) * behind)
        weighed = np.where(inside, 1.0, grids.clipping_weight) * lost
        errors.append(float((made.gains * weighed.mean(axis=1)).sum()))
    return min(errors)


@pytest.fixture(autouse=True)
def weights_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what weights lose out, but where a test asks for it."""
    monkeypatch.setattr(channel_factors, "WEIGHTS_SHARE", 0.0)


@pytest.mark.parametrize("grids", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("middle", [-1.5, -0.3, 0.0, 1.5])
def test_no_factor_nearby_is_much_better(middle: float, seed: int, grids: Grids) -> None:
    made = channels(middle=middle, seed=seed)
    found = choose_factors(made, grids)
    least = simulated(made, found, grids)
    for channel in range(len(SLOPES)):
        for move in (-8, -4, -2, 2, 4, 8):
            other = found.exponents.copy()
            other[channel] += move
            assert simulated(made, replace(found, exponents=other), grids) > 0.9 * least


@pytest.mark.parametrize("middle", [-1.5, 1.5])
def test_turning_channels_round_helps_where_it_is_done(middle: float) -> None:
    made = channels(middle=middle)
    free = choose_factors(made, PAIRED)
    held = choose_factors(replace(made, reversible=np.zeros(len(SLOPES), bool)), PAIRED)
    assert not held.reversed.any()
    assert free.reversed.any() == (middle < 0.0)
    if middle < 0.0:
        assert simulated(made, free) < simulated(made, held)


def test_slopes_near_0_stay_the_way_they_are() -> None:
    slopes = (0.0, SMALLEST_SLOPE / 2, -SMALLEST_SLOPE / 2)
    found = choose_factors(channels(slopes, (1.0, 1.0, 1.0), middle=-3.0), PAIRED)
    assert not found.reversed.any()


def test_channels_of_one_shape_become_alike() -> None:
    made = channels((0.2, 0.2, 0.2), (1.0, 1.0, 1.0))
    sizes = np.array([1.0, 16.0, 0.25])
    alike = replace(
        made,
        values=made.values[:1] * sizes[:, np.newaxis],
        squares=np.ones((ROWS, 3)) / np.square(sizes),
    )
    found = choose_factors(alike, PAIRED)
    assert (found.exponents - found.exponents[0]).tolist() == [0, 32, -16]


def test_a_channel_that_hardly_counts_does_not_choose_the_zero_point() -> None:
    made = channels((0.3, 0.3), (1.0, 1.0))
    made = replace(made, values=np.stack([np.abs(made.values[0]), -np.abs(made.values[1])]))
    made = replace(made, values=np.sort(made.values, axis=1), reversible=np.zeros(2, bool))
    steps = []
    for gain in (1e-6, 1e6):
        squares = np.ones((ROWS, 2)) * np.array([1.0, gain])
        steps.append(int(choose_factors(replace(made, squares=squares), PAIRED).exponents[0]))
    assert steps[0] < steps[1]


@pytest.mark.parametrize("silent", [(0,), (1, 4), tuple(range(len(SLOPES)))], ids=str)
def test_silent_channels_take_no_part(silent: tuple[int, ...]) -> None:
    made = channels()
    values = made.values.copy()
    values[list(silent)] = 0.0
    found = choose_factors(replace(made, values=values), PAIRED)
    assert not found.reversed[list(silent)].any()
    others = np.delete(found.exponents, silent)
    expected = int(np.median(others)) if others.size else 0
    assert found.exponents[list(silent)].tolist() == [expected] * len(silent)


def test_what_weights_lose_brings_a_large_column_down(monkeypatch: pytest.MonkeyPatch) -> None:
    made = channels()
    largest = made.largest.copy()
    largest[:, 2] *= 100.0
    made, moved = replace(made, largest=largest), []
    for share in (0.0, 0.1, 10.0):
        monkeypatch.setattr(channel_factors, "WEIGHTS_SHARE", share)
        exponents = choose_factors(made, PAIRED).exponents
        moved.append(int(exponents[2]) - int(np.median(exponents)))
    assert moved[0] >= moved[1] >= moved[2]
    assert moved[0] > moved[2]


def test_gains_before_an_activation_are_those_behind_it_times_its_slopes() -> None:
    made = channels((0.5, -2.0, 1.0), (1.0, 1.0, 1.0))
    one_sided = np.stack([np.full(SAMPLES, -1.0), np.full(SAMPLES, -1.0), np.full(SAMPLES, 1.0)])
    made = replace(made, values=one_sided)
    assert made.gains == pytest.approx(made.rows @ made.squares)
    assert made.gains_before == pytest.approx(made.gains * np.array([0.25, 4.0, 1.0]))
