"""The quantize-dequantize kernels: error bounds, exact zero, and onnxruntime's own operators."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calib.runtime import Session
from quant.numerics.affine import (
    BIAS_LIMIT,
    INTEGER_TYPES,
    SMALLEST_SCALE,
    IntegerType,
    affine_parameters,
    bias_scale_floor,
    covered_range,
    dequantize,
    quantize,
)

EIGHT_AND_SIXTEEN = [INTEGER_TYPES[name] for name in ("uint8", "int8", "uint16", "int16")]
limits = st.floats(-1000.0, 1000.0, width=32)
integers = st.sampled_from(EIGHT_AND_SIXTEEN)


def signed(integer: IntegerType) -> bool:
    return integer.qmin < 0


@given(integers, limits, limits, st.floats(0.0, 1.0))
def test_error_is_at_most_half_a_step_inside_the_range(integer, first, second, position) -> None:
    low, high = sorted((first, second))
    scale, zero_point = affine_parameters(low, high, integer, symmetric=signed(integer))
    inside_low, inside_high = covered_range(scale, zero_point, integer)
    value = np.float32(inside_low + position * (inside_high - inside_low))
    back = dequantize(quantize(value, scale, zero_point, integer), scale, zero_point)
    slack = 4 * np.spacing(np.float32(max(abs(inside_low), abs(inside_high))))
    assert abs(float(back) - float(value)) <= scale / 2 + slack


@given(integers, limits, limits, st.booleans())
def test_zero_has_an_exact_code(integer, first, second, symmetric) -> None:
    low, high = sorted((first, second))
    scale, zero_point = affine_parameters(
        low, high, integer, symmetric=symmetric and signed(integer)
    )
    code = quantize(np.zeros(1, np.float32), scale, zero_point, integer)
    assert int(code[0]) == zero_point
    assert dequantize(code, scale, zero_point)[0] == 0.0


@given(integers, limits, limits)
def test_range_asked_for_is_covered_to_half_a_step(integer, first, second) -> None:
    low, high = min(first, second, 0.0), max(first, second, 0.0)
    scale, zero_point = affine_parameters(low, high, integer, symmetric=False)
    inside_low, inside_high = covered_range(scale, zero_point, integer)
    assert inside_low <= low + scale * 0.5001
    assert inside_high >= high - scale * 0.5001


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))],
    ids=["reversed", "nan", "infinite"],
)
def test_empty_or_infinite_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="finite and ordered"):
        affine_parameters(low, high, INTEGER_TYPES["uint8"], symmetric=False)


@given(
    hnp.arrays(np.float32, 4, elements=st.floats(-100.0, 100.0, width=32)),
    st.floats(2**-17, 10.0, width=32),
)
def test_bias_fits_int32_even_where_weights_vanish(bias, input_scale) -> None:
    scales = np.maximum(bias_scale_floor(bias, input_scale), SMALLEST_SCALE).astype(np.float64)
    assert (np.abs(bias / (input_scale * scales)) <= BIAS_LIMIT).all()


@pytest.mark.parametrize("integer", EIGHT_AND_SIXTEEN, ids=lambda i: i.name)
def test_agrees_with_onnxruntime_to_the_bit(integer) -> None:
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
    pair (float[4096] x) => ({integer.name}[4096] q, float[4096] y)
    <float scale = {{0.037}}, {integer.name} zero = {{{3 if signed(integer) else 117}}}>
    {{
      q = QuantizeLinear(x, scale, zero)
      y = DequantizeLinear(q, scale, zero)
    }}"""
    values = np.random.default_rng(5).normal(0.0, 900.0, 4096).astype(np.float32)
    values[:512] /= 1000.0
    values[512:520] = np.float32(0.037) * np.arange(0.5, 8.5).astype(np.float32)
    made = Session(onnx.parser.parse_model(text), optimized=False, threads=1).run({"x": values})
    zero_point = 3 if signed(integer) else 117
    codes = quantize(values, np.float32(0.037), zero_point, integer)
    np.testing.assert_array_equal(codes, made["q"])
    np.testing.assert_array_equal(dequantize(codes, np.float32(0.037), zero_point), made["y"])
