"""Measure what an output's error has in common with that of our int8, against float.

Every execution of an int8 file rounds the same weights, and reads the picture on the same grid;
only what later layers round differs from one machine to the next. So a part of the error is the
same in all of them, and correlates:

    shared = sum(e o) / sqrt(sum(e^2) sum(o^2)),  e = clip(output) - clip(float),
                                                  o = clip(our int8) - clip(float)

Files of x4plus-anime-6b and animevideov3 for four targets on two pictures: onnxruntime's and
OpenVINO's int8 kernels share 0.27, where products saturate, to 1.00; the same file on an input
moved by noise of an eighth of a grey level 0.24 to 0.96. Float outputs with noise on them share
nothing: 0, give or take 0.003.
"""

import numpy as np

from calib.arrays import Float32

LEAST_SHARED = 0.05
"""What an execution of the file shares at least."""

MOST_OWN_DB = 70.0
"""Parity of our int8 beyond which golden files, which round it, do not hold its error."""


def shared_error(expected: Float32, ours: Float32, output: Float32) -> float:
    """Return the correlation of two errors, in [-1, 1]; 1 where either is none.

    Args:
        expected: what float draws, float32 ``[N, C, H, W]``.
        ours: what our int8 draws, the same shape.
        output: what was returned, the same shape, finite.
    """
    seen = np.clip(expected, 0.0, 1.0).astype(np.float64)
    own, error = (np.clip(array, 0.0, 1.0) - seen for array in (ours, output))
    norm = np.sqrt(np.square(own).sum() * np.square(error).sum())
    return float((own * error).sum() / norm) if norm else 1.0
