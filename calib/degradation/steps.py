"""Apply the single steps of a degradation to a picture, float64 [H, W, 3] RGB, 0 to 1.

Pictures stay float64 from step to step: what processors make of the last digits is lost in the 8
bits that JPEG and the result are rounded to, so equal inputs give equal pictures.
"""

import math

import cv2
import numpy as np

from calib.arrays import Float64
from calib.degradation.kernels import Kernel
from calib.degradation.recipe import Interpolation, Noise

_INTERPOLATIONS = {
    "area": cv2.INTER_AREA,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_SHARPENED_SIDE_PX, _SHARPENED_BY, _SHARPENED_FROM = 51, 0.5, 10 / 255


def sharpened(picture: Float64) -> Float64:
    """Sharpen by an unsharp mask where a pixel differs from its surroundings by 10 of 255.

        p + m (clip(p + (p - G p) / 2) - p),    m = G [|p - G p| > 10 / 255]

    G is a Gaussian blur of 51x51 pixels, whose sigma is 8. Photographs are sharpened so before they
    are degraded in Real-ESRGAN's training.
    """
    detail = picture - _gaussian(picture)
    mask = _gaussian((np.abs(detail) > _SHARPENED_FROM).astype(np.float64))
    sharp = np.clip(picture + _SHARPENED_BY * detail, 0, 1)
    return np.asarray(picture + mask * (sharp - picture), dtype=np.float64)


def blurred(picture: Float64, kernel: Kernel) -> Float64:
    """Correlate each channel with a kernel, the picture continued by reflection."""
    found = cv2.filter2D(picture, -1, kernel.values(), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(found, dtype=np.float64)


def resized(picture: Float64, height: int, width: int, how: Interpolation) -> Float64:
    """Resize; pixel centres lie at half pixels, and nothing is smoothed but by ``area``.

    Bicubic values may leave [0, 1].
    """
    found = cv2.resize(picture, (width, height), interpolation=_INTERPOLATIONS[how])
    return np.asarray(found, dtype=np.float64)


def with_noise(picture: Float64, noise: Noise) -> Float64:
    """Add noise and clip to [0, 1].

    Gaussian noise has the standard deviation ``strength / 255``. Poisson noise counts photons: as
    many for white as the picture has levels, rounded up to a power of two; what the counts differ
    from their mean is multiplied by ``strength``. Gray noise is the same in all channels, that of
    Poisson from the luma.
    """
    generator = np.random.default_rng(noise.seed)
    if noise.kind == "gaussian":
        shape = (*picture.shape[:2], 1 if noise.gray else 3)
        added = generator.standard_normal(shape) * (noise.strength / 255)
    else:
        expected = (picture @ _LUMA)[:, :, np.newaxis] if noise.gray else picture
        expected = np.rint(np.clip(expected, 0, 1) * 255) / 255
        photons = 2 ** math.ceil(math.log2(len(np.unique(expected))))
        counted = generator.poisson(expected * photons) / photons
        added = (counted - expected) * noise.strength
    return np.clip(picture + added, 0, 1)


def jpeg(picture: Float64, quality: int) -> Float64:
    """Compress to a JPEG of that quality, chroma halved in both directions, and read it back."""
    stored = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, content = cv2.imencode(".jpg", cv2.cvtColor(stored, cv2.COLOR_RGB2BGR), options)
    found = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), dtype=np.float64) / 255


def _gaussian(picture: Float64) -> Float64:
    side = (_SHARPENED_SIDE_PX, _SHARPENED_SIDE_PX)
    found = cv2.GaussianBlur(picture, side, 0, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(found, dtype=np.float64)
