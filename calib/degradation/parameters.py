"""State what a second-order degradation is drawn from, and read it from a file.

The model is that of Real-ESRGAN (Wang et al. 2021, https://arxiv.org/abs/2107.10833, section 3):
blur, resize, noise and JPEG, all of it twice, and a last sinc filter. The defaults are the values
of ``options/train_realesrgan_x4plus.yml`` in github.com/xinntao/Real-ESRGAN, which x4plus was
trained with (that of x2plus has the same ones); docs/degradation.md names the option behind each.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from calib.errors import UsageError
from calib.records import Probability, Scale, read

PARAMETERS_SCHEMA: Literal["esrdeploy.degradation-parameters/1"] = (
    "esrdeploy.degradation-parameters/1"
)
Range = tuple[float, float]
"""Least and largest value of a uniform distribution."""


@dataclass(frozen=True)
class KernelChances:
    """How often a Gaussian blur kernel is of which kind; together 1.

    Attributes:
        iso: Gaussian of one sigma.
        aniso: Gaussian of two sigmas, turned.
        generalized_iso: generalized Gaussian of one sigma.
        generalized_aniso: of two, turned.
        plateau_iso: plateau-shaped, of one sigma.
        plateau_aniso: of two, turned.
    """

    iso: Probability = 0.45
    aniso: Probability = 0.25
    generalized_iso: Probability = 0.12
    generalized_aniso: Probability = 0.03
    plateau_iso: Probability = 0.12
    plateau_aniso: Probability = 0.03

    def __post_init__(self) -> None:
        """Refuse chances that are not those of one choice.

        Raises:
            UsageError: they do not add up to 1.
        """
        _require_whole(asdict(self))


@dataclass(frozen=True)
class ResizeChances:
    """How often a picture is enlarged, reduced or kept; together 1.

    Attributes:
        up: enlarged.
        down: reduced.
        keep: kept as large as it is.
    """

    up: Probability
    down: Probability
    keep: Probability

    def __post_init__(self) -> None:
        """Refuse chances that are not those of one choice.

        Raises:
            UsageError: they do not add up to 1.
        """
        _require_whole(asdict(self))


@dataclass(frozen=True)
class RoundParameters:
    """What one of the two rounds of blur, resize, noise and JPEG is drawn from.

    Attributes:
        blur_probability: how often there is a blur.
        sinc_probability: how often its kernel is a sinc filter, and not Gaussian.
        kernels: which Gaussian kernel.
        sigma_range_px: of a Gaussian kernel.
        generalized_beta_range: exponent of generalized kernels; below and above 1 equally often.
        plateau_beta_range: exponent of plateau kernels, likewise.
        resize: which way.
        resize_range: factors between the least and 1, and between 1 and the largest.
        gaussian_probability: how often the noise is Gaussian, and not Poisson.
        gaussian_sigma_range: in steps of 8 bits.
        poisson_scale_range: what Poisson noise is multiplied by.
        gray_probability: how often the noise is the same in all channels.
        jpeg_quality_range: of libjpeg.
    """

    blur_probability: Probability
    sigma_range_px: Range
    resize: ResizeChances
    resize_range: Range
    gaussian_sigma_range: Range
    poisson_scale_range: Range
    sinc_probability: Probability = 0.1
    kernels: KernelChances = field(default_factory=KernelChances)
    generalized_beta_range: Range = (0.5, 4.0)
    plateau_beta_range: Range = (1.0, 2.0)
    gaussian_probability: Probability = 0.5
    gray_probability: Probability = 0.4
    jpeg_quality_range: Range = (30.0, 95.0)

    def __post_init__(self) -> None:
        """Refuse ranges that nothing can be drawn from.

        Raises:
            UsageError: an end is out of bounds, or the ends are the wrong way round.
        """
        _require_range("sigma_range_px", self.sigma_range_px, 0.01, 100)
        for name in ("generalized_beta_range", "plateau_beta_range"):
            _require_range(name, getattr(self, name), 0.01, 100, around=1)
        _require_range("resize_range", self.resize_range, 0.01, 8, around=1)
        _require_range("gaussian_sigma_range", self.gaussian_sigma_range, 0, 255)
        _require_range("poisson_scale_range", self.poisson_scale_range, 0, 100)
        _require_range("jpeg_quality_range", self.jpeg_quality_range, 1, 100)


def _first() -> RoundParameters:
    return RoundParameters(
        blur_probability=1.0,
        sigma_range_px=(0.2, 3.0),
        resize=ResizeChances(up=0.2, down=0.7, keep=0.1),
        resize_range=(0.15, 1.5),
        gaussian_sigma_range=(1.0, 30.0),
        poisson_scale_range=(0.05, 3.0),
    )


def _second() -> RoundParameters:
    return RoundParameters(
        blur_probability=0.8,
        sigma_range_px=(0.2, 1.5),
        resize=ResizeChances(up=0.3, down=0.4, keep=0.3),
        resize_range=(0.3, 1.2),
        gaussian_sigma_range=(1.0, 25.0),
        poisson_scale_range=(0.05, 2.5),
    )


@dataclass(frozen=True)
class DegradationParameters:
    """What a second-order degradation is drawn from; the defaults are those of x4plus.

    Attributes:
        sharpen: sharpen the photograph first, as those trained on were.
        first: the round on the photograph.
        second: the round that ends near the size of the result.
        final_sinc_probability: how often a last sinc filter follows.
        schema: version of the format.
    """

    sharpen: bool = True
    first: RoundParameters = field(default_factory=_first)
    second: RoundParameters = field(default_factory=_second)
    final_sinc_probability: Probability = 0.8
    schema: Literal["esrdeploy.degradation-parameters/1"] = PARAMETERS_SCHEMA


@dataclass(frozen=True)
class Degradation:
    """How photographs are degraded.

    Attributes:
        scale: HR pixels per LR pixel along one side.
        parameters: what is drawn from.
    """

    scale: Scale
    parameters: DegradationParameters = field(default_factory=DegradationParameters)


def read_parameters(path: Path) -> DegradationParameters:
    """Read parameters from a JSON file that gives all of them.

    Raises:
        UsageError: the file is missing, or says something else.
    """
    remedy = "docs/degradation.md shows such a file"
    return read(path, DegradationParameters, UsageError, remedy)


def _require_whole(chances: dict[str, float]) -> None:
    total = math.fsum(chances.values())
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise UsageError(f"found chances of {', '.join(chances)} that add up to {total:g}, not 1")


def _require_range(
    name: str, found: Range, least: float, most: float, around: float | None = None
) -> None:
    low, high = found
    ordered = least <= low <= high <= most
    if not ordered or (around is not None and not low <= around <= high):
        middle = "" if around is None else f" with {around:g} between them"
        raise UsageError(
            f"found {name} {low:g} to {high:g}; expected two values from {least:g} to {most:g}, "
            f"the lower first{middle}"
        )
