"""What integer convolutions store, and a float model on that grid: by ONNX's own evaluator."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.plan import QuantOptions
from quant.qdq.int8_convolutions import int8_convolutions, on_the_grid
from quant.targets import PROFILES
from tests.quant.by_model import emit_qdq, equalized_model, make_plan, with_zero_points_apart
from tests.quant.conftest import RESIDUAL

FLOAT = """<ir_version: 8, opset_import: ["" : 17]>
one (float[1,2,3,3] input) => (float[1,3,3,3] output)
<float[3,2,1,1] w = {0.5, -1.0, 0.26, 0.5, 0.0, -0.13}, float[3] b = {1.0, 0.0, -2.1}>
{
  [conv] output = Conv(input, w, b)
}
"""
QDQ = """<ir_version: 8, opset_import: ["" : 17]>
one (float[1,2,3,3] input) => (float[1,3,3,3] output)
<float[%(ends)s] s = {%(scale)s}, uint8[%(ends)s] z = {%(point)s},
 int8[3,2,1,1] codes = {1, -4, 1, 2, 0, -1}, float[3] steps = {0.5, 0.25, 0.125},
 int8[3] zeros = {0, 0, 0}, int8[3] ones = {1, 1, 1}, uint8[3,2,1,1] unsigned = {1, 2, 3, 4, 5, 6},
 float step = {0.25}, float[3] b = {1.0, 0.0, -2.1}, int32[3] units = {4, 0, -34},
 float[3] unit = {0.25, 0.125, 0.0625}>
{
  [in_q] a = QuantizeLinear(input, s, z)
  [in_dq] x = DequantizeLinear(a, s, z)
  %(weight)s
  %(bias)s
  [conv] output = Conv(%(operands)s)
}
"""
PER_CHANNEL = "[w_dq] weight = DequantizeLinear<axis=0>(codes, steps, zeros)"
INT32_BIAS = "[b_dq] bias = DequantizeLinear<axis=0>(units, unit)"


def qdq(
    weight: str = PER_CHANNEL,
    bias: str = INT32_BIAS,
    operands: str = "x, weight, bias",
    ends: str = "",
) -> onnx.ModelProto:
    count = int(ends or 1)
    text = QDQ % {
        "weight": weight,
        "bias": bias,
        "operands": operands,
        "ends": ends,
        "scale": ", ".join(["0.5"] * count),
        "point": ", ".join(["3"] * count),
    }
    model = onnx.parser.parse_model(text.replace("float[] ", "float ").replace("int8[] ", "int8 "))
    onnx.checker.check_model(model, full_check=True)
    return model


def evaluated(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    promoted = onnx.ModelProto()
    promoted.CopyFrom(model)
    promoted.opset_import[0].version, promoted.ir_version = 21, 10
    (output,) = ReferenceEvaluator(promoted).run(None, {"input": picture})
    return output


def grid_picture() -> np.ndarray:
    """A picture whose values lie on the input's grid: the pair changes nothing."""
    codes = np.random.default_rng(0).integers(0, 256, (1, 2, 3, 3))
    return ((codes - 3) * 0.5).astype(np.float32)


def test_codes_scales_and_bias_are_those_of_the_file() -> None:
    (found,) = int8_convolutions(qdq()).values()
    assert found.codes.reshape(-1).tolist() == [1, -4, 1, 2, 0, -1]
    assert found.weight_scales.tolist() == [0.5, 0.25, 0.125]
    assert (found.input_scale, found.input_zero_point) == (0.5, 3)
    assert found.bias.tolist() == [1.0, 0.0, -2.125]
    assert found.weight.reshape(-1).tolist() == [0.5, -2.0, 0.25, 0.5, 0.0, -0.125]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({}, id="as we write it"),
        pytest.param({"bias": "", "operands": "x, weight, b"}, id="bias in float"),
        pytest.param({"bias": "", "operands": "x, weight"}, id="no bias"),
        pytest.param({"ends": "1"}, id="scale of the input in an array of one"),
        pytest.param({"weight": "[w_dq] weight = DequantizeLinear(codes, step)"}, id="one scale"),
    ],
)
def test_the_float_model_on_the_grid_computes_what_the_qdq_model_does(form) -> None:
    model, picture = qdq(**form), grid_picture()
    float_model = onnx.parser.parse_model(FLOAT)
    if form.get("operands") == "x, weight":
        del float_model.graph.node[0].input[2]
    before = float_model.SerializeToString(deterministic=True)
    rounded = on_the_grid(float_model, int8_convolutions(model))
    np.testing.assert_allclose(evaluated(rounded, picture), evaluated(model, picture), rtol=1e-6)
    assert float_model.SerializeToString(deterministic=True) == before
    assert [node.name for node in rounded.graph.node] == ["conv"]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        pytest.param(
            {"weight": "[w_dq] weight = DequantizeLinear<axis=0>(codes, steps, ones)"},
            "the weight of 'conv' is not symmetric int8",
            id="a zero point",
        ),
        pytest.param(
            {"weight": "[w_dq] weight = DequantizeLinear<axis=0>(unsigned, steps)"},
            "the weight of 'conv' is not symmetric int8",
            id="unsigned",
        ),
        pytest.param(
            {"weight": "[k] k = Abs(codes) [w_dq] weight = DequantizeLinear(k, step)"},
            "the weight of 'conv' is not symmetric int8",
            id="computed",
        ),
        pytest.param(
            {"ends": "2"}, "the input of 'conv' is quantized by channel", id="input by channel"
        ),
        pytest.param(
            {"bias": "[k] bias = Abs(b)"}, "the bias of 'conv' is no constant", id="bias computed"
        ),
    ],
)
def test_what_is_no_int8_convolution_is_refused(form, message) -> None:
    with pytest.raises(GraphError, match=message):
        int8_convolutions(qdq(**form))


def test_convolutions_in_float_are_left_out_and_keep_their_weights(emitted, residual) -> None:
    found = int8_convolutions(emitted("ort", {"equalization": "none"}))
    assert set(found) == {"conv1", "conv2"}
    rounded, index = GraphIndex(on_the_grid(residual, found)), GraphIndex(residual)
    for name in ("w0", "b0", "w3", "w4"):
        np.testing.assert_array_equal(rounded.initializer(name), index.initializer(name))
    for name, node in (("w1", "conv1"), ("w2", "conv2")):
        steps = rounded.initializer(name) / found[node].weight_scales[:, None, None, None]
        np.testing.assert_allclose(steps, found[node].codes, atol=1e-4)
        away = np.abs(rounded.initializer(name) - index.initializer(name))
        assert 0 < away.max() < 3 * found[node].weight_scales.max()


@pytest.mark.parametrize("target", PROFILES)
def test_biases_are_the_float_ones_whatever_zero_points_they_make_up_for(
    target, residual, residual_table
) -> None:
    plan = make_plan(residual, residual_table, PROFILES[target], QuantOptions())
    if target == "ort":
        plan = with_zero_points_apart(plan)
    model, index = emit_qdq(residual, plan), GraphIndex(equalized_model(residual, plan))
    found = int8_convolutions(model)
    for name, node in (("b1", "conv1"), ("b2", "conv2")):
        one, expected = found[node], index.initializer(name)
        steps = one.input_scale * one.weight_scales
        allowed = 0.51 * steps + (
            np.abs(expected) * 2.0**-11 if plan.float_type != "float32" else 0
        )
        assert (np.abs(one.bias - expected) <= allowed).all()
    if plan.zero_points_apart:  # the file says another one
        steps = found["conv2"].input_scale * found["conv2"].weight_scales
        written = GraphIndex(model).initializer("b2_quantized") * steps
        assert (np.abs(written - index.initializer("b2")) > 10 * steps).any()


GROUPS = {
    "[conv2] branch = Conv<": "[conv2] branch = Conv<group=2, ",
    "[4,6,3,3] w2": "[4,3,3,3] w2",
}
ROWS = {
    "[cat] joined = Concat<axis=1>(feat, x1)": "[act2] x2 = LeakyRelu<alpha=0.2>(feat) "
    "[cat] joined = Concat<axis=2>(feat, x2)",
    "[conv1] pre1 = Conv<pads=[1,1,1,1]>(feat, w1, b1)": "",
    "[act1] x1 = LeakyRelu<alpha=0.2>(pre1)": "",
    "[conv2] branch = Conv<pads=[1,1,1,1]>": "[conv2] branch = Conv<pads=[1,1,1,1], strides=[2,1]>",
    "float[2,4,3,3] w1, float[2] b1, ": "",
    "[4,6,3,3] w2": "[4,4,3,3] w2",
}


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize("changes", [GROUPS, ROWS], ids=["groups", "rows joined"])
def test_what_else_is_joined_is_read_as_it_is(target, changes, parsed, calibrated) -> None:
    text = RESIDUAL
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    model = parsed(text)
    plan = make_plan(model, calibrated(model), PROFILES[target], QuantOptions(equalization="none"))
    assert plan.zero_points_apart == ()
    found = int8_convolutions(emit_qdq(model, plan))["conv2"]
    expected = GraphIndex(model).initializer("b2")
    allowed = 0.51 * found.input_scale * found.weight_scales + np.abs(expected) * 2.0**-11
    assert (np.abs(found.bias - expected) <= allowed).all()
