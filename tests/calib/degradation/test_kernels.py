"""Kernels against other ways to the same values: densities, and the filter's own definition."""

import math

import numpy as np
import pytest
from scipy import integrate, ndimage, stats

from calib.degradation.kernels import GaussianKernel, SincKernel


def offsets(size: int) -> np.ndarray:
    """Return x and y of each cell from the centre, [size, size, 2]."""
    y, x = np.mgrid[:size, :size] - size // 2
    return np.stack([x, y], axis=-1)


@pytest.mark.parametrize("size", [7, 13, 21])
@pytest.mark.parametrize(("sx", "sy", "angle"), [(1.3, 1.3, 0.0), (0.6, 2.4, 0.7), (3, 0.5, -2.0)])
def test_gaussian_is_the_normal_density(size: int, sx: float, sy: float, angle: float) -> None:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    covariance = turn @ np.diag([sx**2, sy**2]) @ turn.T
    density = stats.multivariate_normal([0, 0], covariance).pdf(offsets(size))
    found = GaussianKernel("gaussian", size, (sx, sy), angle).values()
    np.testing.assert_allclose(found, density / density.sum(), atol=1e-15)


def test_a_quarter_turn_swaps_the_axes() -> None:
    wide = GaussianKernel("plateau", 15, (3.0, 1.0), 0.0, 1.7).values()
    tall = GaussianKernel("plateau", 15, (3.0, 1.0), math.pi / 2, 1.7).values()
    np.testing.assert_allclose(tall, wide.T, atol=1e-15)
    assert wide[7].sum() > 1.5 * wide[:, 7].sum()


@pytest.mark.parametrize("beta", [0.5, 0.8, 1.0, 2.0, 4.0])
def test_generalized_is_scipys_generalized_normal_along_an_axis(beta: float) -> None:
    # gennorm is exp(-|x / scale|^b); here exp(-(x / sigma)^(2 beta) / 2).
    row = GaussianKernel("generalized", 17, (1.9, 1.9), 0.0, beta).values()[8]
    scale = 1.9 * 2 ** (1 / (2 * beta))
    expected = stats.gennorm(2 * beta, scale=scale).pdf(np.arange(-8, 9))
    np.testing.assert_allclose(row / row[8], expected / expected[8], rtol=1e-12)


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_plateau_falls_to_half_at_sigma_and_is_flatter_for_a_larger_beta(beta: float) -> None:
    values = GaussianKernel("plateau", 21, (4.0, 2.0), 0.0, beta).values()
    assert values[10, 14] / values[10, 10] == pytest.approx(0.5)
    assert values[12, 10] / values[10, 10] == pytest.approx(0.5)
    assert values[10, 12] / values[10, 10] == pytest.approx(1 / (1 + 0.25**beta))


@pytest.mark.parametrize("cutoff", [math.pi / 5, math.pi / 3, 2.2, math.pi])
def test_sinc_is_the_transform_of_a_disc_of_frequencies(cutoff: float) -> None:
    found = SincKernel(9, cutoff).values()
    expected = np.empty((9, 9))
    for (row, column), _ in np.ndenumerate(expected):
        x, y = column - 4, row - 4

        def slice_of_disc(u: float, x: int = x, y: int = y) -> float:
            height = math.sqrt(max(cutoff**2 - u**2, 0))
            inner = 2 * height if y == 0 else 2 * math.sin(y * height) / y
            return math.cos(u * x) * inner / (4 * math.pi**2)

        expected[row, column] = integrate.quad(slice_of_disc, -cutoff, cutoff, limit=200)[0]
    np.testing.assert_allclose(found, expected / expected.sum(), atol=2e-6)


def test_sinc_lets_low_frequencies_through_and_no_high_ones() -> None:
    kernel = SincKernel(21, math.pi / 3).values()
    x = np.arange(128)
    low, high = (np.tile(np.sin(w * x), (128, 1)) for w in (math.pi / 6, 2 * math.pi / 3))
    passed, stopped = (ndimage.correlate(wave, kernel)[32:96, 32:96] for wave in (low, high))
    gibbs = 0.09  # the share of the step that a filter cut short overshoots by
    assert passed.std() / low.std() == pytest.approx(1, abs=gibbs)
    assert stopped.std() / high.std() < gibbs


@pytest.mark.parametrize(
    "kernel",
    [
        GaussianKernel("gaussian", 7, (0.2, 0.2)),
        GaussianKernel("generalized", 21, (3.0, 0.2), 1.0, 0.5),
        GaussianKernel("plateau", 9, (3.0, 3.0), 0.0, 2.0),
        SincKernel(7, math.pi),
        SincKernel(21, math.pi / 5),
    ],
)
def test_every_kernel_keeps_brightness_and_is_centred(kernel) -> None:
    values = kernel.values()
    assert values.shape == (kernel.size_px, kernel.size_px)
    assert values.sum() == pytest.approx(1)
    np.testing.assert_allclose(values, values[::-1, ::-1], atol=1e-16)
    assert values.argmax() == values.size // 2
