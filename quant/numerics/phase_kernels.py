"""Split a convolution behind a nearest-neighbour enlargement into its phases, and join them again.

Along one axis, let ``u`` be ``x`` with every value repeated ``r`` times and ``w`` a kernel of ``K``
taps, centred. Output ``r m + i``, of phase ``i``, sees only a few different values of ``x``:

    y[r m + i] = sum_t w[t] u[r m + i + t - K // 2]
               = sum_d g_i[d] x[m + d],   g_i[d] = sum of w[t] over t with (i + t - K // 2) // r = d

so ``g_i = A_i w`` with a matrix of zeros and ones, and in two dimensions ``G_ij = A_i W A_j^T``.
For ``r = 2`` and ``K = 3`` each phase has 2x2 taps: 4 phases of 4 multiplications make four output
pixels, where the enlarged picture takes 9 for each.
(Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016,
arXiv:1609.07009.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calib.arrays import Float64

_TOLERANCE = 1e-6
"""How far the phases of one kernel may be from what is there, as a share of the largest: sums of
a few float32 weights."""


@dataclass(frozen=True)
class PhaseWindows:
    """What each phase of one axis sees of the smaller picture.

    Attributes:
        kernel: taps of the kernel on the enlarged picture, an odd number.
        starts: by phase, the first ``d`` that it has a tap for.
        taps: how many taps each phase has.
    """

    kernel: int
    starts: tuple[int, ...]
    taps: int

    def matrix(self) -> Float64:
        """Return A of every phase, float64 ``[phase, tap, K]``, zeros and ones."""
        factor = len(self.starts)
        found = np.zeros((factor, self.taps, self.kernel))
        for phase, start in enumerate(self.starts):
            for tap in range(self.kernel):
                place = (phase + tap - self.kernel // 2) // factor - start
                if 0 <= place < self.taps:
                    found[phase, place, tap] = 1.0
        return found

    @property
    def complete(self) -> bool:
        """Whether no tap of the kernel falls outside the windows."""
        return bool((self.matrix().sum(axis=1) == 1.0).all())


def two_tap_windows(factor: int, kernel: int) -> PhaseWindows | None:
    """Return windows of two taps, or ``None`` where a kernel needs more.

    Those of phases below ``kernel // 2`` begin at -1, the others at 0.

    >>> two_tap_windows(2, 3)
    PhaseWindows(kernel=3, starts=(-1, 0), taps=2)
    >>> two_tap_windows(2, 5) is None
    True
    """
    starts = tuple(-1 if phase < kernel // 2 else 0 for phase in range(factor))
    windows = PhaseWindows(kernel, starts, 2)
    return windows if factor > 1 and kernel % 2 == 1 and windows.complete else None


def split_phases(weight: Float64, windows: PhaseWindows) -> Float64:
    """Return the kernels of all phases.

    Args:
        weight: float64 ``[O, I, K, K]``.
        windows: of both axes.

    Returns:
        float64 ``[O, phase, phase, I, tap, tap]``.
    """
    matrix = windows.matrix()
    phases: Float64 = np.einsum("iat,jbu,octu->oijcab", matrix, matrix, weight, optimize=True)
    return phases


def join_phases(phases: Float64, windows: Sequence[PhaseWindows]) -> Float64 | None:
    """Return the kernel that the phases are of, or ``None`` where they are of no single one.

    Args:
        phases: float64 ``[O, phase, phase, I, tap, tap]``.
        windows: to try, in this order.

    Returns:
        float64 ``[O, I, K, K]``.
    """
    for tried in windows:
        flat = tried.matrix().reshape(-1, tried.kernel)
        inverse = np.linalg.pinv(flat).reshape(tried.kernel, len(tried.starts), tried.taps)
        weight: Float64 = np.einsum("tia,ujb,oijcab->octu", inverse, inverse, phases, optimize=True)
        error = np.abs(split_phases(weight, tried) - phases).max()
        if error <= _TOLERANCE * np.abs(phases).max():
            return weight
    return None


def transposed_kernel(weight: Float64, factor: int) -> Float64:
    """Return the kernel of the transposed convolution of stride ``factor`` that does both.

    A transposed convolution adds ``x[m] T[t]`` to output ``r m + t - K // 2``; with
    ``T[t] = sum of w[s] over s with 0 <= t + s - 2 (K // 2) < r`` that is ``y``.

    Args:
        weight: float64 ``[O, I, K, K]``, on the enlarged picture.
        factor: ``r``.

    Returns:
        float64 ``[I, O, r + K - 1, r + K - 1]``.
    """
    kernel = weight.shape[2]
    steps = np.arange(factor + kernel - 1)[:, np.newaxis] + np.arange(kernel) - kernel // 2 * 2
    matrix = ((steps >= 0) & (steps < factor)).astype(np.float64)
    found: Float64 = np.einsum("at,bu,octu->coab", matrix, matrix, weight, optimize=True)
    return found
