"""Channel histograms: exact merging, exact extremes, counts where the values are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.channels import BINS, STRIDE, ChannelHistograms


def observed(planes: np.ndarray) -> ChannelHistograms:
    return ChannelHistograms.of(planes, planes.min(axis=(0, 2)), planes.max(axis=(0, 2)))


def assert_same(found: ChannelHistograms, expected: ChannelHistograms) -> None:
    np.testing.assert_array_equal(found.minimum, expected.minimum)
    np.testing.assert_array_equal(found.maximum, expected.maximum)
    np.testing.assert_array_equal(found.counts, expected.counts)


@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 4),
    exponents=st.lists(st.floats(-30, 30), min_size=2, max_size=3),
)
@settings(max_examples=60)
def test_merging_parts_is_observing_all(seed: int, channels: int, exponents: list[float]) -> None:
    rng = np.random.default_rng(seed)
    parts = [
        (rng.normal(rng.normal(), 1, (1, channels, 40)) * 2.0**e).astype(np.float32)
        for e in exponents
    ]
    merged = observed(parts[0])
    for part in parts[1:]:
        merged = merged.merge(observed(part))
    assert_same(merged, observed(np.concatenate(parts)))
    assert_same(observed(parts[1]).merge(observed(parts[0])), observed(np.concatenate(parts[:2])))


def test_every_value_lies_in_its_bin() -> None:
    values = np.random.default_rng(0).normal(0, 3, (2, 5, 300)).astype(np.float32)
    found = observed(values)
    edges = found.edges()
    assert edges.shape == (5, BINS + 1)
    for channel in range(5):
        flat = np.sort(values[:, channel].ravel())
        below = np.searchsorted(flat, edges[channel, 1:-1], side="left")
        below[edges[channel, 1:-1] >= flat[-1]] = flat.size  # the last bin holds its right edge
        np.testing.assert_array_equal(np.cumsum(found.counts[channel])[:-1], below)
    np.testing.assert_array_equal(found.abs_max, np.abs(values).max(axis=(0, 2)))


def test_a_large_plane_is_sampled_and_its_extremes_are_not() -> None:
    values = np.zeros((1, 1, 128 * 128), np.float32)
    values[0, 0, 1], values[0, 0, 2] = -7.0, 9.0  # neither is a multiple of the stride away
    found = observed(values)
    assert found.counts.sum() == -(-values.size // STRIDE)
    assert (found.minimum[0], found.maximum[0]) == (-7.0, 9.0)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-30, -3.5, 2.0**100])
def test_a_constant_channel_has_one_bin(value: float) -> None:
    found = observed(np.full((1, 1, 8), value, np.float32))
    assert found.counts[0, 0] == 8
    assert not np.signbit(found.minimum[0]) or value < 0
