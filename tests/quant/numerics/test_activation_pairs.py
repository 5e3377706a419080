"""Pairs around an activation, chosen together: no worse than those begun with, near the best."""

from dataclasses import replace

import numpy as np
import pytest

from quant.numerics.activation_pairs import Pairs, choose_together
from quant.numerics.affine import INTEGER_TYPES, affine_parameters
from quant.numerics.pre_activation_scale import (
    Activated,
    Affine,
    activated_errors,
    choose_before_slopes,
)

UINT8, INT8, UINT16 = (INTEGER_TYPES[name] for name in ("uint8", "int8", "uint16"))
SLOPES = {"ReLU": (0.0,), "gentle": (0.05, 0.2), "both signs": (-0.7, 0.0, 0.4, 1.3)}


def activated(slopes: tuple[float, ...], tail: float = 1.0) -> Activated:
    """Return values of normal channels, every fiftieth ``tail`` times as far out."""
    rng = np.random.default_rng(0)
    values = rng.normal(-0.3, 1.0, (len(slopes), 3000))
    values[:, ::50] *= tail
    by_value = np.repeat(slopes, values.shape[1])
    return Activated.of(values.ravel(), by_value, np.ones(values.size))


def covering(made: Activated, integer, *, symmetric: bool = False) -> Pairs:
    """Return the pair that covers the values on either side."""
    before, behind = (
        Affine(*affine_parameters(v.min(), v.max(), integer, symmetric=symmetric))
        for v in (made.inputs, made.outputs)
    )
    return Pairs(before, behind)


def error(made: Activated, pairs: Pairs, integer=UINT8, weight: float = 1.0) -> float:
    return activated_errors(made, integer, [pairs.before], pairs.behind, clipping_weight=weight)[0]


@pytest.mark.parametrize("slopes", SLOPES.values(), ids=SLOPES)
@pytest.mark.parametrize(("integer", "symmetric"), [(UINT8, False), (INT8, True), (UINT16, False)])
@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_the_error_of_the_chain_only_falls(slopes, integer, symmetric, weight) -> None:
    made = activated(slopes, tail=4.0)
    start = covering(made, integer, symmetric=symmetric)
    found = choose_together(
        made, start, integer, symmetric=symmetric, smallest=0.0, clipping_weight=weight
    )
    assert error(made, found, integer, weight) <= error(made, start, integer, weight)
    for affine in (found.before, found.behind):
        assert integer.qmin <= affine.zero_point <= integer.qmax
        assert not symmetric or affine.zero_point == 0
        assert affine.scale == np.float32(affine.scale) > 0.0


@pytest.mark.parametrize("slopes", SLOPES.values(), ids=SLOPES)
def test_the_pairs_are_near_the_best_of_many(slopes) -> None:
    """Against pairs of one scale, which a search of two dimensions finds, and pairs of two."""
    made = activated(slopes, tail=4.0)
    start = covering(made, UINT8)
    before = choose_before_slopes(made, start.before, UINT8, start.behind, symmetric=False)
    start = replace(start, before=before)
    found = error(made, choose_together(made, start, UINT8, symmetric=False, smallest=0.0))
    best = min(
        error(made, Pairs(Affine(scale * ratio, zero), Affine(scale, behind)))
        for scale in start.behind.scale * np.geomspace(0.4, 1.4, 14)
        for ratio in (1.0, 1.41, 2.0)
        for zero in range(32, 200, 12)
        for behind in range(0, 200, 20)
    )
    assert found <= 1.05 * best


def test_clipping_that_weighs_more_makes_grids_reach_further() -> None:
    made = activated(SLOPES["both signs"], tail=6.0)
    start = covering(made, UINT8)

    def reach(weight: float) -> float:
        chosen = choose_together(
            made, start, UINT8, symmetric=False, smallest=0.0, clipping_weight=weight
        )
        return 255 * chosen.behind.scale

    assert reach(1.0) < reach(20.0)


def test_no_scale_falls_below_the_smallest() -> None:
    made = activated((0.0,))
    start = covering(made, UINT8)
    start = replace(start, behind=replace(start.behind, scale=2 * start.behind.scale))
    smallest = min(start.before.scale, start.behind.scale)
    found = choose_together(made, start, UINT8, symmetric=False, smallest=smallest)
    assert min(found.before.scale, found.behind.scale) >= smallest
