"""The Frechet distance against closed forms and scipy's matrix root."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard, sqrtm

from calib.errors import VerificationError
from deploy.evaluate.fid.frechet import frechet_distance


def by_matrix_root(first: np.ndarray, second: np.ndarray) -> float:
    """The definition, with scipy's root of the product of covariances."""
    shift = first.mean(axis=0) - second.mean(axis=0)
    left, right = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (first, second))
    root = np.real(sqrtm(left @ right))
    return float(shift @ shift + np.trace(left + right - 2 * root))


def with_diagonal_covariance(deviations: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Features [16, D] whose sample covariance is diagonal: scaled columns of a Hadamard matrix."""
    columns = hadamard(16)[:, 1 : 1 + len(deviations)].astype(float)
    return mean + columns * deviations * np.sqrt(15 / 16)


def test_diagonal_covariances_have_a_closed_form() -> None:
    # S1 and S2 commute: tr (S1 S2)^(1/2) = sum of s1 s2, so d^2 = |m1 - m2|^2 + sum (s1 - s2)^2.
    s1, s2 = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    m1, m2 = np.array([0.0, 1.0, -1.0]), np.array([0.5, 1.0, 2.0])
    first, second = with_diagonal_covariance(s1, m1), with_diagonal_covariance(s2, m2)
    np.testing.assert_allclose(np.cov(first, rowvar=False), np.diag(s1**2), atol=1e-12)
    expected = np.square(m1 - m2).sum() + np.square(s1 - s2).sum()
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_a_shift_costs_its_square_and_a_stretch_the_trace() -> None:
    features = np.random.default_rng(0).normal(size=(30, 5))
    assert frechet_distance(features, features + 2.0) == pytest.approx(5 * 4.0)
    stretched = (features - features.mean(axis=0)) * 3 + features.mean(axis=0)
    trace = np.trace(np.cov(features, rowvar=False))
    assert frechet_distance(features, stretched) == pytest.approx(4 * trace)
    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    dimensions=st.integers(1, 12),
    counts=st.tuples(st.integers(20, 60), st.integers(20, 60)),
)
def test_it_is_scipys_matrix_root(seed: int, dimensions: int, counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dimensions, dimensions))
    first = rng.normal(size=(counts[0], dimensions)) @ mixing
    second = rng.normal(size=(counts[1], dimensions)) + rng.normal(size=dimensions)
    expected = by_matrix_root(first, second)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6, abs=1e-7)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_fewer_images_than_features_have_the_distance_of_their_own_subspace() -> None:
    # In the plane that holds all the data nothing is singular, and distances do not change.
    rng = np.random.default_rng(1)
    low_first, low_second = rng.normal(size=(18, 6)), rng.normal(size=(18, 6)) * 2 + 1
    basis = np.linalg.qr(rng.normal(size=(500, 6)))[0].T
    expected = by_matrix_root(low_first, low_second)
    assert frechet_distance(low_first @ basis, low_second @ basis) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((1, 4)), np.zeros((2, 4)), "at least 2 images"),
        (np.zeros(4), np.zeros((2, 4)), "at least 2 images"),
        (np.zeros((2, 0)), np.zeros((2, 0)), "at least 2 images"),
        (np.zeros((2, 4)), np.zeros((2, 5)), "4 features compared with 5"),
        (np.array([[0.0], [np.nan]]), np.zeros((2, 1)), "NaN"),
    ],
    ids=["one image", "one vector", "no features", "other features", "nan"],
)
def test_what_has_no_distance_is_refused(
    first: np.ndarray, second: np.ndarray, message: str
) -> None:
    with pytest.raises(VerificationError, match=message):
        frechet_distance(first, second)
