"""What is drawn: as often, and from where, as the parameters say."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from calib.degradation.kernels import GaussianKernel, SincKernel
from calib.degradation.parameters import DegradationParameters, KernelChances, RoundParameters
from calib.degradation.recipe import Recipe, Round, draw
from calib.errors import UsageError
from calib.records import decode, encode

DRAWN = 3000
PUBLISHED = DegradationParameters()


@pytest.fixture(scope="module")
def recipes() -> list[Recipe]:
    generator = np.random.default_rng(1)
    return [draw(PUBLISHED, generator) for _ in range(DRAWN)]


def assert_as_often(found: int, of: int, probability: float) -> None:
    """Assert a count that one in 10,000 honest draws would miss."""
    low, high = stats.binom(of, probability).interval(0.9999)
    assert low <= found <= high, f"{found} of {of} where {probability:.0%} were expected"


def assert_uniform(values: Sequence[float], low: float, high: float) -> None:
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def rounds(recipes: list[Recipe], which: str) -> tuple[RoundParameters, list[Round]]:
    return getattr(PUBLISHED, which), [getattr(recipe, which) for recipe in recipes]


def kind_of(kernel: GaussianKernel) -> str:
    turned = kernel.sigmas_px[0] != kernel.sigmas_px[1]
    family = "" if kernel.family == "gaussian" else f"{kernel.family}_"
    return f"{family}{'aniso' if turned else 'iso'}"


@pytest.mark.parametrize("which", ["first", "second"])
def test_blurs_are_as_often_as_asked(recipes: list[Recipe], which: str) -> None:
    asked, drawn = rounds(recipes, which)
    kernels = [step.kernel for step in drawn if step.kernel is not None]
    assert_as_often(len(kernels), DRAWN, asked.blur_probability)
    sincs = [kernel for kernel in kernels if isinstance(kernel, SincKernel)]
    assert_as_often(len(sincs), len(kernels), asked.sinc_probability)
    for side in range(7, 22, 2):
        assert_as_often(sum(k.size_px == side for k in kernels), len(kernels), 1 / 8)
    small = [kernel.cutoff_rad for kernel in sincs if kernel.size_px < 13]
    assert_uniform(small, math.pi / 3, math.pi)
    assert_uniform([k.cutoff_rad for k in sincs if k.size_px >= 13], math.pi / 5, math.pi)
    gaussians = [kernel for kernel in kernels if isinstance(kernel, GaussianKernel)]
    counts = Counter(map(kind_of, gaussians))
    for name in KernelChances.__dataclass_fields__:
        assert_as_often(counts[name], len(gaussians), getattr(asked.kernels, name))
    assert_uniform([kernel.sigmas_px[0] for kernel in gaussians], *asked.sigma_range_px)
    turned = [kernel for kernel in gaussians if "aniso" in kind_of(kernel)]
    assert_uniform([kernel.sigmas_px[1] for kernel in turned], *asked.sigma_range_px)
    assert_uniform([kernel.angle_rad for kernel in turned], -math.pi, math.pi)
    for family, ends in (
        ("generalized", asked.generalized_beta_range),
        ("plateau", asked.plateau_beta_range),
    ):
        betas = [kernel.beta for kernel in gaussians if kernel.family == family]
        assert ends[0] <= min(betas) <= max(betas) <= ends[1]
        if ends[0] < 1:
            assert_as_often(sum(beta < 1 for beta in betas), len(betas), 0.5)


@pytest.mark.parametrize("which", ["first", "second"])
def test_resize_noise_and_jpeg_are_as_often_as_asked(recipes: list[Recipe], which: str) -> None:
    asked, drawn = rounds(recipes, which)
    factors = [step.resize_factor for step in drawn]
    ways = {"up": [f for f in factors if f > 1], "down": [f for f in factors if f < 1]}
    for way, ends in (("up", (1, asked.resize_range[1])), ("down", (asked.resize_range[0], 1))):
        assert_as_often(len(ways[way]), DRAWN, getattr(asked.resize, way))
        assert_uniform(ways[way], *ends)
    for name in ("area", "bilinear", "bicubic"):
        assert_as_often(sum(step.interpolation == name for step in drawn), DRAWN, 1 / 3)
    gaussian = [step.noise.strength for step in drawn if step.noise.kind == "gaussian"]
    poisson = [step.noise.strength for step in drawn if step.noise.kind == "poisson"]
    assert_as_often(len(gaussian), DRAWN, asked.gaussian_probability)
    assert_uniform(gaussian, *asked.gaussian_sigma_range)
    assert_uniform(poisson, *asked.poisson_scale_range)
    assert_as_often(sum(step.noise.gray for step in drawn), DRAWN, asked.gray_probability)
    assert len({step.noise.seed for step in drawn}) == DRAWN
    qualities = [step.jpeg_quality for step in drawn]
    assert (min(qualities), max(qualities)) == asked.jpeg_quality_range


def test_the_end_is_as_often_as_asked(recipes: list[Recipe]) -> None:
    sincs = [recipe.final_sinc for recipe in recipes if recipe.final_sinc is not None]
    assert_as_often(len(sincs), DRAWN, PUBLISHED.final_sinc_probability)
    assert_uniform([kernel.cutoff_rad for kernel in sincs], math.pi / 3, math.pi)
    assert_as_often(sum(recipe.jpeg_last for recipe in recipes), DRAWN, 0.5)
    for name in ("area", "bilinear", "bicubic"):
        assert_as_often(sum(r.final_interpolation == name for r in recipes), DRAWN, 1 / 3)


def test_what_never_happens_and_what_always_does() -> None:
    asked = replace(
        PUBLISHED.second, blur_probability=0.0, gaussian_probability=1.0, gray_probability=0.0
    )
    generator = np.random.default_rng(2)
    parameters = DegradationParameters(False, asked, asked, 0.0)
    for recipe in (draw(parameters, generator) for _ in range(200)):
        assert not recipe.sharpen
        assert recipe.final_sinc is None
        for step in (recipe.first, recipe.second):
            assert step.kernel is None
            assert (step.noise.kind, step.noise.gray) == ("gaussian", False)


def test_a_recipe_comes_back_from_its_json(recipes: list[Recipe]) -> None:
    for recipe in recipes[:200]:
        assert decode(encode(recipe), Recipe, "recipe", UsageError, "") == recipe
