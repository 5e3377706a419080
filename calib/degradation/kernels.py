"""Compute blur kernels: Gaussian, generalized Gaussian, plateau-shaped and sinc.

With ``q = p^T S^-1 p`` at offset ``p`` from the centre and ``S = R diag(sx^2, sy^2) R^T``, each
divided by its sum:

    gaussian      exp(-q / 2)
    generalized   exp(-q^beta / 2)        Pascal et al. 2013, https://arxiv.org/abs/1302.6498
    plateau       1 / (1 + q^beta)
    sinc          w J1(w |p|) / (2 pi |p|), w^2 / (4 pi) at the centre

The last is the ideal low-pass filter of radius ``w`` in the plane of frequencies, J1 the Bessel
function of the first kind: it rings and overshoots, as sharpening and compression do.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calib.arrays import Float64
from calib.records import NotNegative, Positive

Family = Literal["gaussian", "generalized", "plateau"]


@dataclass(frozen=True)
class GaussianKernel:
    """A kernel of one of the Gaussian families.

    Attributes:
        family: which.
        size_px: odd side.
        sigmas_px: along the two axes, x first.
        angle_rad: by which they are turned from x towards y.
        beta: exponent of generalized and plateau kernels; 1 for Gaussian ones.
    """

    family: Family
    size_px: Positive
    sigmas_px: tuple[NotNegative, NotNegative]
    angle_rad: float = 0.0
    beta: NotNegative = 1.0

    def values(self) -> Float64:
        """Return the kernel, float64 [size_px, size_px], of sum 1.

        >>> GaussianKernel("gaussian", 3, (1e-2, 1e-2)).values()
        array([[0., 0., 0.],
               [0., 1., 0.],
               [0., 0., 0.]])
        """
        y, x = _offsets(self.size_px)
        cosine, sine = math.cos(self.angle_rad), math.sin(self.angle_rad)
        along, across = cosine * x + sine * y, cosine * y - sine * x
        q = (along / self.sigmas_px[0]) ** 2 + (across / self.sigmas_px[1]) ** 2
        if self.family == "plateau":
            found = 1 / (1 + q**self.beta)
        else:
            found = np.exp(-(q**self.beta) / 2)
        return np.asarray(found / found.sum(), dtype=np.float64)


@dataclass(frozen=True)
class SincKernel:
    """A circular low-pass filter.

    Attributes:
        size_px: odd side.
        cutoff_rad: radius of the frequencies let through, in radians per pixel; at most pi.
    """

    size_px: Positive
    cutoff_rad: NotNegative

    def values(self) -> Float64:
        """Return the kernel, float64 [size_px, size_px], of sum 1."""
        from scipy import special  # noqa: PLC0415  # slow to load, and few pictures are degraded

        y, x = _offsets(self.size_px)
        radius = np.hypot(x, y)
        centre = self.size_px // 2
        radius[centre, centre] = 1
        found = self.cutoff_rad * special.j1(self.cutoff_rad * radius) / (2 * math.pi * radius)
        found[centre, centre] = self.cutoff_rad**2 / (4 * math.pi)
        return np.asarray(found / found.sum(), dtype=np.float64)


Kernel = GaussianKernel | SincKernel


def _offsets(size_px: int) -> tuple[Float64, Float64]:
    """Return y and x of each cell from the centre, float64 [size_px, size_px]."""
    half = size_px // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    return y, x
