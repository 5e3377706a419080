"""How the emitted QDQ graph stores weights and biases: types, scales, and codes given to it."""

import numpy as np
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex
from calib.runtime import Session
from quant.plan import QuantOptions
from quant.qdq.int8_weights import RoundedWeights
from quant.targets import PROFILES
from tests.quant.by_model import emit_qdq, equalized_model, make_plan


def plan_of(model, table, target: str = "ort", **options):
    return make_plan(model, table, PROFILES[target], QuantOptions(**options))


def test_weights_are_int8_per_channel_and_float_ones_are_gone(residual, residual_table) -> None:
    emitted = emit_qdq(
        residual, plan_of(residual, residual_table, "ort", full_integer=True, accumulator_bits=32)
    )
    stored = {t.name: numpy_helper.to_array(t) for t in emitted.graph.initializer}
    for name in ("w0", "w1", "w2", "w3", "w4"):
        codes = stored[f"{name}_quantized"]
        assert codes.dtype == np.int8
        assert name not in stored
        assert np.abs(codes.astype(int)).reshape(len(codes), -1).max(axis=1).tolist() == (
            [127] * len(codes)
        )
        assert stored[f"{name}_scale"].shape == (len(codes),)
    for name in ("b0", "b1", "b2", "b3", "b4"):
        assert stored[f"{name}_quantized"].dtype == np.int32
        assert name not in stored
    np.testing.assert_array_equal(stored["b1_scale"], stored["feat_scale"] * stored["w1_scale"])


@pytest.mark.parametrize("target", ["tensorrt", "tensorrt-10", "openvino"])
def test_bias_stays_float_where_the_target_wants_it(target, residual, residual_table) -> None:
    plan = plan_of(residual, residual_table, target)
    stored = {t.name: numpy_helper.to_array(t) for t in emit_qdq(residual, plan).graph.initializer}
    expected = GraphIndex(equalized_model(residual, plan)).constant("b1")
    assert stored["b1"].dtype == plan.float_type
    np.testing.assert_array_equal(stored["b1"], expected.astype(plan.float_type))


def test_weights_left_in_float_are_stored_as_fp16_where_the_target_reads_it(
    residual, residual_table
) -> None:
    plan = plan_of(residual, residual_table, "ort")
    assert plan.stored_half == ("w0", "w3", "w4")
    stored = {t.name: numpy_helper.to_array(t) for t in emit_qdq(residual, plan).graph.initializer}
    assert {"w0", "w3", "w4"}.isdisjoint(stored)
    expected = GraphIndex(equalized_model(residual, plan)).constant("w3").astype(np.float16)
    np.testing.assert_array_equal(stored["w3_half"], expected)
    for target in ("tensorrt", "qnn"):
        assert plan_of(residual, residual_table, target).stored_half == ()


def test_biases_of_16_bit_activations_are_int32(residual, residual_table) -> None:
    wide = emit_qdq(residual, plan_of(residual, residual_table, "qnn-w8a16"))
    stored = {t.name: numpy_helper.to_array(t) for t in wide.graph.initializer}
    for number in range(5):
        assert stored[f"w{number}_quantized"].dtype == np.int8
        assert stored[f"b{number}_quantized"].dtype == np.int32


def test_refined_codes_and_biases_are_used(residual, residual_table) -> None:
    plan = plan_of(residual, residual_table, "ort")
    codes = np.full((2, 4, 3, 3), -5, np.int8)
    bias = np.array([1.0, -2.0], np.float32)
    emitted = emit_qdq(residual, plan, RoundedWeights({"w1": codes}, {"b1": bias}))
    stored = {t.name: numpy_helper.to_array(t) for t in emitted.graph.initializer}
    np.testing.assert_array_equal(stored["w1_quantized"], codes)
    restored = stored["b1_quantized"] * stored["b1_scale"]
    np.testing.assert_allclose(restored, bias, atol=stored["b1_scale"].max() / 2)


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((2, 4, 3, 1), np.int8),
        np.zeros((2, 4, 3, 3), np.int32),
        np.full((2, 4, 3, 3), -128, np.int8),
    ],
    ids=["shape", "type", "code -128"],
)
def test_refined_codes_that_do_not_fit_are_refused(codes, residual, residual_table) -> None:
    plan = plan_of(residual, residual_table, "ort")
    with pytest.raises(GraphError, match="int8 weights given for 'w1'"):
        emit_qdq(residual, plan, RoundedWeights({"w1": codes}))


def test_refined_bias_beyond_int32_is_refused(residual, residual_table) -> None:
    plan = plan_of(residual, residual_table, "ort")
    bias = np.array([1e9, 0.0], np.float32)
    with pytest.raises(GraphError, match="more than int32 holds"):
        emit_qdq(residual, plan, RoundedWeights({}, {"b1": bias}))


def test_bias_shared_by_two_convolutions_gets_two_scales(parsed, calibrated, probes) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,3,3] w0, float[2,2,3,3] w1, float[2] b>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0, b)
          [c] output = Conv<pads=[1,1,1,1]>(s, w1, b)
        }"""
    )
    table = calibrated(model)
    emitted = emit_qdq(model, plan_of(model, table, "ort", full_integer=True))
    stored = {t.name for t in emitted.graph.initializer}
    assert {"a_bias_quantized", "c_bias_quantized"} <= stored
    (picture,) = probes(model, 1)
    ours = Session(emitted, optimized=False, threads=1).run({"input": picture})["output"]
    true = Session(model, optimized=False, threads=1).run({"input": picture})["output"]
    assert np.abs(ours - np.clip(true, 0, 1)).max() < 0.05
