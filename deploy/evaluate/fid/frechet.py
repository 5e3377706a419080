"""Compute the Frechet distance of two sets of feature vectors, taken as normal distributions.

Heusel et al. 2017 (arXiv:1706.08500), after Dowson and Landau 1982: with means m and covariances
S (over N - 1) of the two sets,

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

The root of a product of covariances of 2048 features from a few images is a root of a singular
matrix, where iterations such as scipy's ``sqrtm`` lose digits. It is not needed: with X the
centred features [N, D], S = X'X / (N - 1), the eigenvalues of S1 S2 other than 0 are those of
K K' for K = X1 X2' / sqrt((N1 - 1)(N2 - 1)), a matrix of N1 x N2. So

    tr (S1 S2)^(1/2) = sum of the singular values of K.
"""

import numpy as np
from scipy.linalg import svdvals

from calib.arrays import Float64
from calib.errors import VerificationError


def frechet_distance(first: Float64, second: Float64) -> float:
    """Return the squared Frechet distance d^2 of two sets of features, 0 or more.

    Args:
        first: float64 [N1, D], a row per image, at least two.
        second: float64 [N2, D].

    Raises:
        VerificationError: fewer than two images, another number of features, or a NaN.
    """
    for features in (first, second):
        if features.ndim != 2 or features.shape[0] < 2 or features.shape[1] < 1:
            raise VerificationError(
                f"features of shape {list(features.shape)} for a Frechet distance; expected "
                "[N, D] of at least 2 images"
            )
        if not np.isfinite(features).all():
            raise VerificationError("a feature is NaN or infinite; check the Inception network")
    if first.shape[1] != second.shape[1]:
        raise VerificationError(f"{first.shape[1]} features compared with {second.shape[1]}")
    mean_shift = first.mean(axis=0) - second.mean(axis=0)
    left, right = _normalized(first), _normalized(second)
    traces = np.square(left).sum() + np.square(right).sum()
    cross = float(svdvals(left @ right.T).sum())
    # Equal sets may end a rounding below 0.
    return max(0.0, float(mean_shift @ mean_shift + traces - 2 * cross))


def _normalized(features: Float64) -> Float64:
    """Return centred features over sqrt(N - 1): their Gram matrix is the covariance."""
    normalized: Float64 = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    return normalized
