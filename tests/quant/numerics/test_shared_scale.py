"""One grid for several tensors: no worse than that of the merged values, within the rules."""

from dataclasses import replace

import numpy as np
import pytest

from calib.histogram import Histogram
from quant.analysis.tensor_distributions import distribution_of
from quant.numerics.affine import INTEGER_TYPES, affine_parameters
from quant.numerics.distribution import least_squares_range, merge
from quant.numerics.pre_activation_scale import Affine, round_trip
from quant.numerics.shared_scale import Member, choose_shared

UINT8, INT8 = INTEGER_TYPES["uint8"], INTEGER_TYPES["int8"]


def distribution(values: np.ndarray):
    values = values.astype(np.float32)
    return distribution_of(Histogram.of(values, float(values.min()), float(values.max())))


def block(trunk: float, shift: float, scales: tuple[float, ...]) -> list[Member]:
    """A trunk tensor beside growth tensors whose inputs are normal around ``shift``."""
    rng = np.random.default_rng(0)
    before = [rng.normal(shift, scale, 20_000) for scale in scales]
    activated = [Member(distribution(np.where(x < 0, 0.2 * x, x)), 0.2) for x in before]
    return [Member(distribution(rng.normal(0, trunk, 20_000))), *activated]


def chain_loss(members: list[Member], shared: Affine, integer, wider=(1.0, 1.5, 2.0)) -> float:
    """Mean squared errors summed, each member behind the best of all grids before it.

    Those have all zero points, and ``wider`` times the scale.
    """
    total = 0.0
    for member in members:
        y, counts = member.values.values, member.values.counts
        if member.slope is None:
            rounded = [round_trip(y, shared, integer)]
        else:
            x = np.where(y < 0, y / member.slope, y)
            grids = [
                Affine(shared.scale * multiple, z)
                for multiple in wider
                for z in range(integer.qmin, integer.qmax, 4)
            ]
            outs = [round_trip(x, grid, integer) for grid in grids]
            rounded = [
                round_trip(np.where(o < 0, o * member.slope, o), shared, integer) for o in outs
            ]
        total += min(np.average((r - y) ** 2, weights=counts) for r in rounded)
    return total


@pytest.mark.parametrize(
    ("members", "gain"),
    [
        (block(1.0, 0.0, (0.8, 1.2)), 1.05),
        (block(0.3, 0.0, (1.2, 1.2, 1.2)), 1.0),
        (block(1.0, -4.0, (0.8, 1.2)), 1.10),
    ],
    ids=["alike", "growth large", "mostly negative"],
)
def test_it_serves_both_roundings_as_well_as_the_merged_values_would(members, gain) -> None:
    merged = merge(member.values for member in members)
    low, high = least_squares_range(merged, UINT8, symmetric=False)
    plain = Affine(*affine_parameters(low, high, UINT8, symmetric=False))
    found, *others = choose_shared(members, UINT8, symmetric=False, minimum_range=0.0)
    assert {*others} == {found}
    ratio = chain_loss(members, found, UINT8) / chain_loss(members, plain, UINT8)
    assert ratio < gain


def test_symmetric_targets_get_zero_point_zero() -> None:
    for own in (False, True):
        found = choose_shared(
            block(1.0, 0.0, (0.8,)),
            INT8,
            symmetric=True,
            minimum_range=0.0,
            own_zero_points=own,
        )
        assert {grid.zero_point for grid in found} == {0}


def test_a_grid_widens_with_the_weight_of_clipping() -> None:
    heavy = distribution(np.random.default_rng(0).standard_t(3, 20_000))
    scales = []
    for weight in (0.1, 1.0, 10.0):
        member = Member(heavy, clipping_weight=weight)
        (found,) = choose_shared([member], UINT8, symmetric=False, minimum_range=0.0)
        scales.append(found.scale)
    assert scales[0] < scales[1] < scales[2]
    width = heavy.maximum - heavy.minimum
    assert scales[2] * 255 == pytest.approx(width, rel=0.1)


def test_a_grid_comes_nearer_to_what_suits_a_member_the_more_that_counts() -> None:
    trunk, *growth = block(3.0, 0.0, (0.8, 0.8))
    alone, *_ = choose_shared([trunk], UINT8, symmetric=False, minimum_range=0.0)
    scales = []
    for weight in (0.01, 1.0, 100.0):
        members = [replace(trunk, weight=weight), *growth]
        found, *_ = choose_shared(members, UINT8, symmetric=False, minimum_range=0.0)
        scales.append(found.scale)
    assert scales[0] < scales[1] <= scales[2]
    assert scales[2] == pytest.approx(alone.scale, rel=0.1)


def test_the_smallest_range_is_kept() -> None:
    tiny = [Member(distribution(np.array([0.0, 1e-7])))]
    (found,) = choose_shared(tiny, UINT8, symmetric=False, minimum_range=1e-4)
    assert found.scale * 255 >= 1e-4 * 0.999


def test_zero_points_apart_lose_less_where_members_lie_apart() -> None:
    members = block(1.0, 0.0, (1.5, 1.5, 1.5))

    def loss(grids: tuple[Affine, ...]) -> float:
        pairs = zip(members, grids, strict=True)
        return sum(chain_loss([member], grid, UINT8) for member, grid in pairs)

    shared, apart = (
        choose_shared(members, UINT8, symmetric=False, minimum_range=0.0, own_zero_points=own)
        for own in (False, True)
    )
    assert len({grid.scale for grid in apart}) == 1
    trunk, *growth = (grid.zero_point for grid in apart)
    assert all(zero_point < trunk for zero_point in growth)
    assert loss(apart) < 0.98 * loss(shared)
