"""Weight scales: never worse than covering, driven by what the channels carry."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quant.numerics.saturation_limits import SaturationLimits
from quant.numerics.weight_scales import least_error_scales


def lost(
    weight: np.ndarray, scales: np.ndarray, variance: np.ndarray, limits: SaturationLimits
) -> np.ndarray:
    spread = scales.astype(np.float64)[:, None, None, None]
    codes = limits.round_to_nearest(weight / spread)
    return np.einsum("oikl,i->o", (weight - codes * spread) ** 2, variance)


@given(
    seed=st.integers(0, 2**32 - 1),
    limits=st.sampled_from([SaturationLimits(16), SaturationLimits(32)]),
)
def test_no_channel_loses_more_than_with_the_covering_scale(
    seed: int, limits: SaturationLimits
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_t(3, (4, 6, 3, 3)).astype(np.float32)
    variance = rng.uniform(0, 2, 6)
    covering = limits.minmax_scales(weight).astype(np.float32)
    found = least_error_scales(weight, variance, limits, floor=None)
    assert (found <= covering).all()
    assert (
        lost(weight, found, variance, limits) <= lost(weight, covering, variance, limits) * 1.0001
    ).all()


def test_a_large_weight_on_a_channel_that_carries_nothing_is_clipped() -> None:
    weight = np.random.default_rng(0).normal(0, 1, (1, 8, 3, 3)).astype(np.float32)
    weight[0, 0, 0, 0] = 20.0
    carried = np.ones(8)
    silent = carried.copy()
    silent[0] = 0.0
    covering = SaturationLimits(32).minmax_scales(weight)
    assert least_error_scales(weight, carried, SaturationLimits(32), floor=None) > 0.9 * covering
    assert least_error_scales(weight, silent, SaturationLimits(32), floor=None) < 0.7 * covering


def test_the_floor_of_the_bias_holds() -> None:
    weight = np.full((1, 2, 1, 1), 1e-3, np.float32)
    floor = np.array([0.5], np.float32)
    assert least_error_scales(weight, np.ones(2), SaturationLimits(32), floor=floor) == floor
