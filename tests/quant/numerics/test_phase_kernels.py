"""Phases of a kernel, against the convolution of the enlarged signal that they stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant.numerics.phase_kernels import (
    PhaseWindows,
    join_phases,
    split_phases,
    transposed_kernel,
    two_tap_windows,
)

SIZE = 5


def enlarged_and_convolved(picture: np.ndarray, weight: np.ndarray, factor: int) -> np.ndarray:
    """Return float64 ``[O, H r, W r]``: each value repeated, then convolved, by the definition."""
    kernel = weight.shape[-1]
    large = picture.repeat(factor, axis=1).repeat(factor, axis=2)
    padded = np.pad(large, ((0, 0), *[(kernel // 2, kernel // 2)] * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
    return np.einsum("cyxtu,octu->oyx", windows, weight)


def drawn(seed: int, kernel: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(2, SIZE, SIZE)), generator.normal(size=(3, 2, kernel, kernel))


@given(seed=st.integers(0, 999), factor=st.sampled_from([2, 3, 4]))
def test_two_taps_a_phase_give_what_nine_on_the_enlarged_picture_give(seed, factor) -> None:
    picture, weight = drawn(seed, 3)
    windows = two_tap_windows(factor, 3)
    phases = split_phases(weight, windows)
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    found = np.empty((3, SIZE, factor, SIZE, factor))
    for i, j in np.ndindex(factor, factor):
        down, right = windows.starts[i] + 1, windows.starts[j] + 1
        seen = np.lib.stride_tricks.sliding_window_view(padded, (2, 2), axis=(1, 2))
        seen = seen[:, down : down + SIZE, right : right + SIZE]
        found[:, :, i, :, j] = np.einsum("cyxab,ocab->oyx", seen, phases[:, i, j])
    expected = enlarged_and_convolved(picture, weight, factor)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-12)


@given(
    seed=st.integers(0, 999), factor=st.sampled_from([2, 3, 4]), kernel=st.sampled_from([1, 3, 5])
)
def test_a_transposed_convolution_does_both(seed, factor, kernel) -> None:
    picture, weight = drawn(seed, kernel)
    taps = transposed_kernel(weight, factor)
    found = np.zeros((3, *[SIZE * factor + taps.shape[-1] - factor] * 2))
    for y, x in np.ndindex(SIZE, SIZE):
        place = found[:, y * factor :, x * factor :][:, : taps.shape[2], : taps.shape[3]]
        place += np.einsum("c,coab->oab", picture[:, y, x], taps)
    cut = slice(kernel // 2, kernel // 2 + SIZE * factor)
    expected = enlarged_and_convolved(picture, weight, factor)
    np.testing.assert_allclose(found[:, cut, cut], expected, atol=1e-12)


@given(seed=st.integers(0, 999), factor=st.sampled_from([2, 3, 4]))
def test_phases_give_their_kernel_back(seed, factor) -> None:
    _, weight = drawn(seed, 3)
    windows = two_tap_windows(factor, 3)
    joined = join_phases(split_phases(weight, windows), [windows])
    np.testing.assert_allclose(joined, weight, atol=1e-9)


def test_what_was_learned_phase_by_phase_has_no_kernel() -> None:
    windows = two_tap_windows(2, 3)
    phases = np.random.default_rng(0).normal(size=(3, 2, 2, 2, 2, 2))
    assert join_phases(phases, [windows]) is None


@pytest.mark.parametrize(("factor", "kernel"), [(2, 5), (1, 3), (2, 4), (3, 5)])
def test_kernels_that_need_more_taps_have_no_such_windows(factor, kernel) -> None:
    assert two_tap_windows(factor, kernel) is None


def test_windows_that_miss_a_tap_are_not_complete() -> None:
    assert PhaseWindows(3, (-1, -1), 3).complete
    assert not PhaseWindows(3, (-1, -1), 2).complete
