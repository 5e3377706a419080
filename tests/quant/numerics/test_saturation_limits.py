"""Code limits: what a 16-bit accumulator takes, held against an emulated ``vpmaddubsw``."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calib.graph import GraphIndex
from quant.numerics.saturation_limits import PAIR_LIMIT, SaturationLimits
from quant.qdq.saturation import saturable_convolutions
from quant.qdq.view import QdqView

PLAIN, SAFE = SaturationLimits(32), SaturationLimits(16)


def accumulated(activations: np.ndarray, codes: np.ndarray, *, bits: int) -> np.ndarray:
    """Return what a kernel adds up to over all channels, two products at a time in ``bits`` bits.

    Args:
        activations: uint8 ``[I, P]``, the values under the kernel.
        codes: int8 ``[O, I, P]``.
        bits: 16 saturates as ``vpmaddubsw`` does.
    """
    # Input channels innermost, as the CPU runtimes pack them; an odd end gets a zero.
    products = (activations.astype(np.int64) * codes).transpose(0, 2, 1).reshape(len(codes), -1)
    if products.shape[1] % 2:
        products = np.pad(products, ((0, 0), (0, 1)))
    sums = products[:, ::2] + products[:, 1::2]
    return sums.clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).sum(axis=1)


steps = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-200.0, 200.0, width=32))
)


@given(steps=steps, seed=st.integers(0, 2**32 - 1))
def test_no_activations_saturate_safe_codes(steps: np.ndarray, seed: int) -> None:
    codes = SAFE.round_to_nearest(steps)
    rng = np.random.default_rng(seed)
    shape = steps.shape[1:]
    extreme = [np.where(codes[0] > 0, 255, 0), np.where(codes[0] < 0, 255, 0), np.full(shape, 255)]
    for activations in (*extreme, rng.integers(0, 256, shape)):
        exact = accumulated(activations, codes, bits=64)
        np.testing.assert_array_equal(accumulated(activations, codes, bits=16), exact)


def test_plain_codes_saturate_where_the_limit_says() -> None:
    for pair, saturates in (((100, 28), False), ((100, 29), True), ((-64, -65), True)):
        codes = np.array(pair, np.int8).reshape(1, 2, 1)
        white = np.full((2, 1), 255)
        differs = accumulated(white, codes, bits=16) != accumulated(white, codes, bits=64)
        assert bool(differs) == saturates
        assert bool(SAFE.excess(codes)) == saturates


@pytest.mark.parametrize("limits", [PLAIN, SAFE], ids=["32 bits", "16 bits"])
@given(steps=steps)
def test_within_is_a_projection_and_nearest_is_near_it(
    limits: SaturationLimits, steps: np.ndarray
) -> None:
    within = limits.clamp(steps)
    np.testing.assert_allclose(limits.clamp(within), within, atol=2e-5)
    codes = limits.round_to_nearest(steps)
    assert limits.excess(codes) == 0
    assert np.abs(codes - within).max() <= 1.0 + 1e-4
    untouched = within == steps
    assert np.abs(codes - steps)[untouched].max(initial=0.0) <= 1.0 + 1e-4


@pytest.mark.parametrize("limits", [PLAIN, SAFE], ids=["32 bits", "16 bits"])
@given(weight=steps)
def test_covering_scales_clip_nothing(limits: SaturationLimits, weight: np.ndarray) -> None:
    weight = weight * np.float32(0.01) + np.float32(1e-3)
    scales = limits.minmax_scales(weight)
    steps = weight / scales[:, None, None]
    np.testing.assert_allclose(limits.clamp(steps), steps, rtol=1e-5)
    half = 0.5 if limits is PLAIN else 1.0  # a pair at its limit may give one step away
    assert np.abs(limits.round_to_nearest(steps) - steps).max() <= half * (1 + 1e-3)
    assert SAFE.minmax_scales(weight).min() >= PLAIN.minmax_scales(weight).min()


def test_neighbours_share_what_they_exceed_and_unlike_signs_are_free() -> None:
    steps = np.array([[100.0, 90.0], [100.0, -90.0], [127.0, 2.0]], np.float32)
    np.testing.assert_array_equal(SAFE.round_to_nearest(steps), [[69, 59], [100, -90], [126, 2]])


def test_an_odd_number_of_channels_halves_every_code() -> None:
    steps = np.full((1, 3, 2), 100.0, np.float32)
    np.testing.assert_array_equal(SAFE.round_to_nearest(steps), np.full((1, 3, 2), PAIR_LIMIT // 2))
    np.testing.assert_array_equal(PLAIN.round_to_nearest(steps), np.full((1, 3, 2), 100))


def quantized_convolution(codes: np.ndarray) -> QdqView:
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,{codes.shape[1]},4,4] x) => (float[1,{codes.shape[0]},4,4] y)
        <float s = {{1.0}}, uint8 z = {{0}}, int8 wz = {{0}}> {{
            q = QuantizeLinear(x, s, z)
            d = DequantizeLinear(q, s, z)
            wd = DequantizeLinear(w, s, wz)
            [conv] y = Conv(d, wd)
        }}"""
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(codes, "w"))
    return QdqView(GraphIndex(model))


@pytest.mark.parametrize(
    ("pair", "expected"), [((100, 28), ()), ((100, 29), ("conv",))], ids=["safe", "saturable"]
)
def test_saturable_convolutions_are_named(pair, expected) -> None:
    codes = np.array(pair, np.int8).reshape(1, 2, 1, 1)
    assert saturable_convolutions(quantized_convolution(codes)) == expected
