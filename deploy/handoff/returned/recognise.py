"""Recognise which golden picture an output shows, whatever its file is called."""

from collections.abc import Mapping

import cv2
import numpy as np

from calib.arrays import Float32, Float64


def thumb(array: Float32) -> Float64:
    """Return the picture's brightness at 32x32, of mean 0 and mean square 1."""
    finite = np.nan_to_num(array[0].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    gray = finite.mean(axis=0) / max(float(np.abs(finite).max()), 1e-12)
    small = cv2.resize(gray, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
    centred = np.asarray(small, np.float64) - small.mean()
    small_gray: Float64 = centred / max(float(centred.std()), 1e-12)
    return small_gray


_THUMB_PX = 32


_SAME_PICTURE = 0.95


_CLEARLY_BETTER = 0.1


def shown_picture(array: Float32, thumbs: Mapping[str, Float64]) -> str | None:
    """Return the name of the picture that an output clearly shows, if it does one's.

    Args:
        array: float32 ``[1, 3, H, W]``.
        thumbs: :func:`thumb` of each picture, by name.
    """
    found = thumb(array)
    alike = {name: float((found * other).mean()) for name, other in thumbs.items()}
    ranked = sorted(alike, key=lambda name: alike[name], reverse=True)
    second = alike[ranked[1]] if len(ranked) > 1 else 0.0
    first = alike[ranked[0]]
    if first < _SAME_PICTURE or first - second < _CLEARLY_BETTER:
        return None
    return ranked[0]
