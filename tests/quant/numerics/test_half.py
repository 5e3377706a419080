"""Scales for fp16: held exactly, nearest, within its normal numbers and within bounds."""

from typing import get_args

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quant.numerics.half import (
    FP16_MAX,
    FP16_NORMAL,
    FloatType,
    held_by_half,
    stored_scale,
    stored_scale_within,
    stored_scales,
)

scales = st.floats(2.0**-30, 2.0**20, width=32)


@given(scales)
def test_a_scale_becomes_the_nearest_normal_number_of_fp16(scale: float) -> None:
    found = stored_scale(scale, "float16")
    assert held_by_half(np.float32(found).reshape(1))
    assert FP16_NORMAL <= found <= FP16_MAX
    assert stored_scale(found, "float16") == found
    if FP16_NORMAL <= scale <= FP16_MAX:
        assert abs(found - scale) <= scale * 2.0**-11
        beside = np.float16(found) + np.float16([-1, 1]) * np.spacing(np.float16(found))
        assert all(abs(found - scale) <= abs(float(other) - scale) for other in beside)


@given(st.lists(scales, min_size=1, max_size=8), st.sampled_from(get_args(FloatType)))
def test_channels_are_taken_one_by_one(values: list[float], float_type: FloatType) -> None:
    together = stored_scales(np.array(values, np.float32), float_type)
    assert together.dtype == np.float32
    assert together.tolist() == [stored_scale(value, float_type) for value in values]


@given(st.floats(2.0**-13, 2.0**13, width=32), st.floats(0.5, 1.0), st.floats(1.0, 2.0))
def test_bounds_are_kept(scale: float, smallest: float, largest: float) -> None:
    low, high = scale * smallest, scale * largest
    found = stored_scale_within(scale, low, high, "float16")
    assert held_by_half(np.float32(found).reshape(1))
    assert low <= found <= high or high / low < 1 + 2.0**-9


def test_what_fp16_rounds_it_does_not_hold() -> None:
    assert held_by_half(np.float32([0.5, 1 / 1024]))
    assert not held_by_half(np.float32([0.5, 1 / 127]))
    assert not held_by_half(np.float32([1e6]))


@given(scales, st.floats(0.5, 1.0), st.floats(1.0, 2.0))
def test_float32_holds_every_scale(scale: float, smallest: float, largest: float) -> None:
    assert stored_scale(scale, "float32") == scale
    low, high = scale * smallest, scale * largest
    assert stored_scale_within(scale, low, high, "float32") == scale
