"""Recognise which golden picture an output shows, and in what form it is wrong."""

from collections.abc import Mapping

import cv2
import numpy as np

from calib.arrays import Float32, Float64
from deploy.diagnosis.pictures import Finding, diagnose
from deploy.metrics.psnr_ssim import parity_db


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


def diagnosed(expected: Float32, found: Float32) -> Finding | None:
    """Name what is wrong with an output: with the order of its pictures, else with one of them."""
    seen = np.clip(expected, 0.0, 1.0)
    count = len(seen)
    nearest = [int(np.argmin([np.square(one - two).mean() for two in seen])) for one in found]
    if (
        np.isfinite(found).all()
        and nearest != list(range(count))
        and sorted(nearest) == list(range(count))
    ):
        order = ", ".join(map(str, nearest))
        return Finding(
            "pictures of the batch out of order",
            f"place by place it holds the pictures {order} of 0 to {count - 1}",
            parity_db(seen, found),
            parity_db(seen[nearest], found),
        )
    worst = max(range(count), key=lambda place: np.square(seen[place] - found[place]).mean())
    return diagnose(seen[worst : worst + 1], found[worst : worst + 1])
