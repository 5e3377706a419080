"""Degrade a photograph by a recipe that is drawn from its pixels and a seed, and by nothing else.

    HR -> sharpen -> blur, resize, noise, JPEG -> blur, resize, noise
       -> [resize to HR / scale, sinc -> JPEG] or [JPEG -> resize to HR / scale, sinc] -> LR

A picture comes out the same whatever its name, the pictures beside it and the threads at work.
"""

from typing import Literal

import numpy as np
from numpy.random import Generator

from calib.arrays import Float64
from calib.degradation.parameters import Degradation, DegradationParameters
from calib.degradation.recipe import Recipe, Round, draw
from calib.degradation.steps import blurred, jpeg, resized, sharpened, with_noise
from calib.digest import sha256_bytes
from calib.errors import ImageError
from calib.images import Picture

_PURPOSES = ("recipe", "crop")


def degrade(hr: Picture, degradation: Degradation, seed: int) -> Picture:
    """Return the LR picture of a photograph.

    Args:
        hr: uint8 [H, W, 3], RGB; its sides are multiples of the scale.
        degradation: how.
        seed: not negative; a different seed draws another recipe.

    Returns:
        uint8 [H / scale, W / scale, 3].

    Raises:
        ImageError: a side is no multiple of the scale.
    """
    return follow(recipe_of(hr, degradation.parameters, seed), hr, degradation.scale)


def recipe_of(hr: Picture, parameters: DegradationParameters, seed: int) -> Recipe:
    """Draw what happens to a photograph, from its pixels and the seed."""
    return draw(parameters, generator_of(hr, seed, "recipe"))


def generator_of(picture: Picture, seed: int, purpose: Literal["recipe", "crop"]) -> Generator:
    """Return a generator that depends on a picture's pixels, the seed and the purpose."""
    pixels = int(sha256_bytes(np.ascontiguousarray(picture).tobytes()), 16)
    return np.random.default_rng([seed, pixels, _PURPOSES.index(purpose)])


def follow(recipe: Recipe, hr: Picture, scale: int) -> Picture:
    """Return what a recipe makes of a photograph; see :func:`degrade`.

    Raises:
        ImageError: a side is no multiple of the scale.
    """
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    if (height * scale, width * scale) != hr.shape[:2] or 0 in (height, width):
        raise ImageError(
            f"found {hr.shape[0]}x{hr.shape[1]} pixels to degrade at scale {scale}; expected sides "
            f"that are multiples of {scale}"
        )

    def final(picture: Float64) -> Float64:
        picture = resized(picture, height, width, recipe.final_interpolation)
        return picture if recipe.final_sinc is None else blurred(picture, recipe.final_sinc)

    picture = hr.astype(np.float64) / 255
    if recipe.sharpen:
        picture = sharpened(picture)
    picture = _until_jpeg(picture, recipe.first, hr.shape[0], hr.shape[1])
    picture = jpeg(picture, recipe.first.jpeg_quality)
    picture = _until_jpeg(picture, recipe.second, height, width)
    if recipe.jpeg_last:
        picture = jpeg(final(picture), recipe.second.jpeg_quality)
    else:
        picture = final(jpeg(picture, recipe.second.jpeg_quality))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _until_jpeg(picture: Float64, step: Round, height: int, width: int) -> Float64:
    """Blur, resize to ``resize_factor`` times height and width, and add noise."""
    if step.kernel is not None:
        picture = blurred(picture, step.kernel)
    rows, columns = (max(1, int(side * step.resize_factor)) for side in (height, width))
    return with_noise(resized(picture, rows, columns, step.interpolation), step.noise)
