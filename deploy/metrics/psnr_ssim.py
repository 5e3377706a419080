"""Measure how much two pictures or two network outputs agree: PSNR, parity, SSIM.

    PSNR    10 log10(255^2 / mean((a - b)^2)) dB, uint8, over all pixels and channels
    parity  10 log10(1 / mean((a - b)^2)) dB, float outputs in [0, 1]
    SSIM    mean over pixels and channels of
            (2 ma mb + C1)(2 cab + C2) / ((ma^2 + mb^2 + C1)(va + vb + C2)),
            C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2

where ma, va and cab are mean, population variance and covariance under an 11x11 Gaussian window
of sigma 1.5, at the pixels where the window lies inside the picture (Wang et al. 2004,
doi:10.1109/TIP.2003.819861): the vendor table's protocol, which scikit-image computes with a
window of its own for each of ma, mb, va, vb and cab. With p = E[a^2 + b^2] under the window

    va + vb = p - (ma^2 + mb^2)        cab = E[ab] - ma mb

so that four windows do, each one separable filter of OpenCV: a third of the time.

Figures in decibels end at `CEILING_DB`, also for equal arrays: JSON cannot say infinity, and a
mean over images stays a number. The ceiling is above what two unequal float32 outputs reach.
"""

import cv2
import numpy as np

from calib.arrays import AnyArray, Float64, Floating, UInt8
from calib.errors import VerificationError
from deploy.metrics.decibels import CEILING_DB
from quant.numerics.psnr import psnr_of

Picture = UInt8

_RADIUS_PX = 5
_SIGMA_PX = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr_db(reference: Picture, candidate: Picture) -> float:
    """Return the peak signal-to-noise ratio of two pictures, in dB, at most `CEILING_DB`.

    Args:
        reference: uint8 of any shape, [H, W, 3] by the vendor table's protocol.
        candidate: uint8 of the same shape.

    Raises:
        VerificationError: the arrays cannot be compared.
    """
    _require_pictures(reference, candidate)
    return min(CEILING_DB, psnr_of(_mean_square(reference, candidate), peak=255.0))


def parity_db(reference: Floating, candidate: Floating) -> float:
    """Return the PSNR of two network outputs for a peak of 1, in dB, at most `CEILING_DB`.

    Args:
        reference: floating-point array of any shape, nominally in [0, 1]; it is not clipped.
        candidate: the same dtype and shape.

    Raises:
        VerificationError: the arrays cannot be compared.
    """
    _require_outputs(reference, candidate)
    return min(CEILING_DB, psnr_of(_mean_square(reference, candidate)))


def max_abs_error(reference: Floating, candidate: Floating) -> float:
    """Return the largest absolute difference of two network outputs.

    Args:
        reference: floating-point array of any shape.
        candidate: the same dtype and shape.

    Raises:
        VerificationError: the arrays cannot be compared.
    """
    _require_outputs(reference, candidate)
    return float(np.abs(reference.astype(np.float64) - candidate).max())


def ssim(reference: Picture, candidate: Picture) -> float:
    """Return the structural similarity of two pictures, 1 for equal ones.

    Args:
        reference: uint8 [H, W, 3], at least 11 pixels high and wide.
        candidate: uint8 of the same shape.

    Raises:
        VerificationError: the arrays cannot be compared.
    """
    _require_pictures(reference, candidate)
    shape = reference.shape
    if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < 2 * _RADIUS_PX + 1:
        raise VerificationError(
            f"SSIM of pictures of shape {list(shape)}; expected [H, W, 3] of at least 11x11 pixels"
        )
    left, right = reference.astype(np.float64), candidate.astype(np.float64)
    mean_left, mean_right = _windowed(left), _windowed(right)
    product = mean_left * mean_right
    squares = np.square(mean_left) + np.square(mean_right)
    covariance = _windowed(left * right) - product
    variances = _windowed(np.square(left) + np.square(right)) - squares
    similar = (2 * product + _C1) * (2 * covariance + _C2)
    return float((similar / ((squares + _C1) * (variances + _C2))).mean())


def _windowed(values: Float64) -> Float64:
    """Return the weighted mean of float64 [H, W, 3] under each window: [H - 10, W - 10, 3]."""
    side = 2 * _RADIUS_PX + 1
    inside = slice(_RADIUS_PX, -_RADIUS_PX)
    return np.ascontiguousarray(cv2.GaussianBlur(values, (side, side), _SIGMA_PX)[inside, inside])


def _mean_square(reference: AnyArray, candidate: AnyArray) -> float:
    difference = reference.astype(np.float64).ravel() - candidate.ravel()
    return float(np.square(difference).mean())


def _require_pictures(reference: AnyArray, candidate: AnyArray) -> None:
    _require_alike(reference, candidate)
    if reference.dtype != np.uint8:
        raise VerificationError(f"pictures of {reference.dtype} compared; expected uint8")


def _require_outputs(reference: AnyArray, candidate: AnyArray) -> None:
    _require_alike(reference, candidate)
    if not np.issubdtype(reference.dtype, np.floating):
        raise VerificationError(f"outputs of {reference.dtype} compared; expected floating point")
    for role, output in (("reference", reference), ("candidate", candidate)):
        broken = output.size - int(np.count_nonzero(np.isfinite(output)))
        if broken:
            raise VerificationError(
                f"the {role} output holds {broken} NaN or infinite values of {output.size}"
            )


def _require_alike(reference: AnyArray, candidate: AnyArray) -> None:
    if reference.shape != candidate.shape or reference.dtype != candidate.dtype:
        raise VerificationError(
            f"cannot compare {candidate.dtype} {list(candidate.shape)} with the reference "
            f"{reference.dtype} {list(reference.shape)}; expected the same type and shape"
        )
    if reference.size == 0:
        raise VerificationError(f"nothing to compare: the arrays are empty {list(reference.shape)}")
