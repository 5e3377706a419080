"""Draw from the parameters what happens to one picture: every step with its numbers, as a record.

Kernels have an odd side of 7 to 21 pixels. A sinc kernel lets frequencies through up to pi / 3 to
pi, one of 13 pixels or more from pi / 5 on, as in the published training code.
"""

import math
from dataclasses import asdict, dataclass
from typing import Literal, cast

import numpy as np

from calib.degradation.kernels import Family, GaussianKernel, Kernel, SincKernel
from calib.degradation.parameters import DegradationParameters, Range, RoundParameters
from calib.records import Count, NotNegative, Positive

Interpolation = Literal["area", "bilinear", "bicubic"]

_KERNEL_SIDES_PX = range(7, 22, 2)
_LARGE_KERNEL_PX = 13
_INTERPOLATIONS: tuple[Interpolation, ...] = ("area", "bilinear", "bicubic")


@dataclass(frozen=True)
class Noise:
    """Noise to add.

    Attributes:
        kind: of its distribution.
        strength: of Gaussian noise the standard deviation in steps of 8 bits; of Poisson noise what
            it is multiplied by.
        gray: the same in all channels.
        seed: of the values.
    """

    kind: Literal["gaussian", "poisson"]
    strength: NotNegative
    gray: bool
    seed: Count


@dataclass(frozen=True)
class Round:
    """One round of blur, resize, noise and JPEG.

    Attributes:
        kernel: of the blur; ``None``: there is none.
        resize_factor: of the first round, of the picture's sides; of the second, of the result's.
        interpolation: of the resize.
        noise: to add.
        jpeg_quality: of libjpeg, 1 to 100.
    """

    kernel: Kernel | None
    resize_factor: NotNegative
    interpolation: Interpolation
    noise: Noise
    jpeg_quality: Positive


@dataclass(frozen=True)
class Recipe:
    """Everything that is done to one picture.

    Attributes:
        sharpen: before all else.
        first: the round on the photograph.
        second: the round that ends near the size of the result; when its JPEG is made,
            ``jpeg_last`` says.
        final_interpolation: of the resize to the size of the result.
        final_sinc: filter behind that resize; ``None``: there is none.
        jpeg_last: the last resize and filter come before the second JPEG, else behind it.
    """

    sharpen: bool
    first: Round
    second: Round
    final_interpolation: Interpolation
    final_sinc: SincKernel | None
    jpeg_last: bool


def draw(parameters: DegradationParameters, generator: np.random.Generator) -> Recipe:
    """Draw what happens to one picture."""
    first, second = (_round(asked, generator) for asked in (parameters.first, parameters.second))
    final_sinc = None
    if _happens(parameters.final_sinc_probability, generator):
        side = _side(generator)
        final_sinc = SincKernel(side, generator.uniform(math.pi / 3, math.pi))
    return Recipe(
        parameters.sharpen,
        first,
        second,
        _interpolation(generator),
        final_sinc,
        _happens(0.5, generator),
    )


def _round(asked: RoundParameters, generator: np.random.Generator) -> Round:
    blurs = _happens(asked.blur_probability, generator)
    kernel = _kernel(asked, generator) if blurs else None
    way = _chosen(asdict(asked.resize), generator)
    least, most = asked.resize_range
    factor = {"up": (1.0, most), "down": (least, 1.0), "keep": (1.0, 1.0)}[way]
    return Round(
        kernel,
        generator.uniform(*factor),
        _interpolation(generator),
        _noise(asked, generator),
        round(generator.uniform(*asked.jpeg_quality_range)),
    )


def _kernel(asked: RoundParameters, generator: np.random.Generator) -> Kernel:
    side = _side(generator)
    if _happens(asked.sinc_probability, generator):
        lowest = math.pi / (5 if side >= _LARGE_KERNEL_PX else 3)
        return SincKernel(side, generator.uniform(lowest, math.pi))
    family, _, shape = _chosen(_named(asked), generator).partition("_")
    sigma = generator.uniform(*asked.sigma_range_px)
    sigmas, angle = (sigma, sigma), 0.0
    if shape == "aniso":
        sigmas = (sigma, generator.uniform(*asked.sigma_range_px))
        angle = generator.uniform(-math.pi, math.pi)
    beta = 1.0
    if family != "gaussian":
        ranges = {"generalized": asked.generalized_beta_range, "plateau": asked.plateau_beta_range}
        beta = _around_one(ranges[family], generator)
    return GaussianKernel(cast("Family", family), side, sigmas, angle, beta)


def _named(asked: RoundParameters) -> dict[str, float]:
    """Return the chances of kernels by ``FAMILY_SHAPE``."""
    plain = {"iso": "gaussian_iso", "aniso": "gaussian_aniso"}
    return {plain.get(name, name): chance for name, chance in asdict(asked.kernels).items()}


def _noise(asked: RoundParameters, generator: np.random.Generator) -> Noise:
    gaussian = _happens(asked.gaussian_probability, generator)
    strengths = asked.gaussian_sigma_range if gaussian else asked.poisson_scale_range
    return Noise(
        "gaussian" if gaussian else "poisson",
        generator.uniform(*strengths),
        _happens(asked.gray_probability, generator),
        int(generator.integers(1 << 63)),
    )


def _around_one(ends: Range, generator: np.random.Generator) -> float:
    """Draw from below or above 1 equally often, whatever the two lengths."""
    low, high = ends
    below = _happens(0.5, generator)
    return generator.uniform(low, 1.0) if below else generator.uniform(1.0, high)


def _side(generator: np.random.Generator) -> int:
    return int(generator.choice(_KERNEL_SIDES_PX))


def _interpolation(generator: np.random.Generator) -> Interpolation:
    return _INTERPOLATIONS[generator.integers(len(_INTERPOLATIONS))]


def _happens(probability: float, generator: np.random.Generator) -> bool:
    return bool(generator.random() < probability)


def _chosen(chances: dict[str, float], generator: np.random.Generator) -> str:
    weights = np.array(list(chances.values()))
    return list(chances)[generator.choice(len(weights), p=weights / weights.sum())]
