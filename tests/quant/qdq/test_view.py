"""QDQ graphs of any origin, looked through: ONNX's reference evaluator says what is stored."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.topology import ACTIVATIONS
from quant.qdq.view import QdqView

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

# One convolution between pairs; %s is how its weight comes to be.
CONVOLUTION = (
    HEADER
    + """
one (float[1,2,3,3] input) => (float[1,3,3,3] output)
<float s = {0.5}, uint8 z = {3}, float[3,2,1,1] w = {0.5, -1.0, 0.26, 0.5, 0.0, -0.13},
 int8[3,2,1,1] codes = {1, -2, 1, 2, 0, -1}, float[1,1,1,1] t = {2.0},
 float[3] steps = {0.5, 0.25, 0.125}, int8[3] zeros = {0, 0, 0}, uint8[3] middles = {1, 2, 3},
 float step = {0.25}, float[2] columns = {0.5, 0.25}, int8[2] none = {0, 0}>
{
  [in_q] a = QuantizeLinear(input, s, z)
  [in_dq] b = DequantizeLinear(a, s, z)
  %s
  [conv] c = Conv(b, weight)
  [out_q] d = QuantizeLinear(c, s, z)
  [out_dq] output = DequantizeLinear(d, s, z)
}
"""
)
STORED = "[w_dq] weight = DequantizeLinear<axis=0>(codes, steps, zeros)"
FAKE = """[w_q] q = QuantizeLinear<axis=%d>(w, %s)
  [w_dq] weight = DequantizeLinear<axis=%d>(q, %s)"""
FOREIGN = {
    "codes": STORED,
    "codes without a zero point": "[w_dq] weight = DequantizeLinear<axis=0>(codes, steps)",
    "float behind a pair": FAKE % (0, "steps, zeros", 0, "steps, zeros"),
    "counted from behind": FAKE % (-4, "steps, zeros", -4, "steps, zeros"),
    "one scale": FAKE % (1, "step, z", 1, "step, z"),
    "scales of input channels": FAKE % (1, "columns, none", 1, "columns, none"),
    "a zero point for each channel": FAKE % (0, "steps, middles", 0, "steps, middles"),
}


def view_of(text: str) -> QdqView:
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model, full_check=True)
    return QdqView(GraphIndex(model))


def weight_of(view: QdqView) -> np.ndarray:
    """Return what the convolution multiplies with, by ONNX's own evaluator."""
    opened = onnx.ModelProto()
    opened.CopyFrom(view.index.model)
    opened.opset_import[0].version, opened.ir_version = 21, 10
    opened.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("weight", onnx.TensorProto.FLOAT, [3, 2, 1, 1])
    )
    picture = np.zeros((1, 2, 3, 3), np.float32)
    (weight,) = ReferenceEvaluator(opened).run(None, {"input": picture})
    return weight


@pytest.mark.parametrize("form", FOREIGN.values(), ids=FOREIGN)
def test_codes_and_grid_of_a_weight_give_what_the_evaluator_makes_of_it(form) -> None:
    view = view_of(CONVOLUTION % form)
    grid, codes = view.dequantizer("weight"), view.codes("weight")
    assert codes.dtype.name == grid.dtype
    shape = [1] * 4
    if not grid.per_tensor:
        shape[grid.axis] = -1
    centred = codes.astype(int) - grid.zero_point.astype(int).reshape(shape)
    np.testing.assert_array_equal(centred * grid.scale.reshape(shape), weight_of(view))


@pytest.mark.parametrize("form", FOREIGN.values(), ids=FOREIGN)
def test_a_convolution_is_one_of_integers_however_its_weight_is_stored(form) -> None:
    view = view_of(CONVOLUTION % form)
    ((node, data, weight),) = view.integer_convolutions()
    assert (node.name, data.node.name, weight.node.name) == ("conv", "in_dq", "w_dq")
    assert (data.dtype, data.scale.item(), data.zero_point.item()) == ("uint8", 0.5, 3)
    assert view.is_constant("weight")
    assert not view.is_constant("b")
    assert [quantizer.node.name for quantizer in view.quantizers] == ["in_q", "out_q"]


@pytest.mark.parametrize(
    "form",
    ["[w_name] weight = Identity(w)", "[w_mul] weight = Mul(w, t)"],
    ids=["float", "computed in float"],
)
def test_a_float_weight_is_no_integer_convolutions(form) -> None:
    view = view_of(CONVOLUTION % form)
    assert list(view.integer_convolutions()) == []
    assert view.dequantizer("weight") is view.codes("weight") is None


@pytest.mark.parametrize(
    "form",
    [
        "[w_mul] k = Mul(w, t) [w_q] q = QuantizeLinear(k, step, z) "
        "[w_dq] weight = DequantizeLinear(q, step, z)",
        "[w_mul] k = Cast<to=3>(w) [w_dq] weight = DequantizeLinear(k, step)",
    ],
    ids=["float", "codes"],
)
def test_a_computed_weight_has_no_codes(form) -> None:
    view = view_of(CONVOLUTION % form)
    assert view.codes("weight") is None
    assert view.dequantizer("weight").scale == 0.25


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ("[r] k = Abs(step) [w_dq] weight = DequantizeLinear(codes, k)", "scale"),
        (
            "[r] k = Identity(z) [w_q] q = QuantizeLinear(w, step, k) "
            "[w_dq] weight = DequantizeLinear(q, step, k)",
            "zero point",
        ),
    ],
    ids=["scale", "zero point"],
)
def test_parameters_that_are_computed_are_refused(form, what) -> None:
    message = rf"the {what} of 'w_dq' is computed at run time; expected a constant"
    with pytest.raises(GraphError, match=message):
        list(view_of(CONVOLUTION % form).integer_convolutions())


def test_constants_may_come_from_nodes() -> None:
    """Exporters that know no initializers."""
    form = (
        "[k1] step_made = Constant<value = float {0.25}>() "
        "[k2] codes_made = Constant<value = int8[3,2,1,1] {1, -2, 1, 2, 0, -1}>() "
        "[w_dq] weight = DequantizeLinear(codes_made, step_made)"
    )
    view = view_of(CONVOLUTION % form)
    assert view.codes("weight").reshape(-1).tolist() == [1, -2, 1, 2, 0, -1]
    assert [node.name for node in view.operators] == ["conv"]


def test_grids_are_equal_when_codes_mean_the_same() -> None:
    view = view_of(CONVOLUTION % (FAKE % (0, "steps, zeros", 0, "steps, zeros")))
    into, out = view.dequantizer("b"), view.output_quantizer("c")
    weight = view.dequantizer("weight")
    assert into.same_grid(out)
    assert not into.same_grid(weight)
    assert into.per_tensor
    assert not weight.per_tensor
    assert (into.integer.qmin, into.integer.qmax) == (0, 255)


BEHIND = (
    HEADER
    + """
behind (float[1,2,3,3] input) => (float[1,2,3,3] output)
<float s = {0.5}, uint8 z = {3}, float[2,2,1,1] w = {0.5, -1.0, 0.26, 0.5}>
{
  [conv] a = Conv(input, w)
  %s
}
"""
)
PAIR = "[q] b = QuantizeLinear(a, s, z) [dq] c = DequantizeLinear(b, s, z) "


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("[act] output = LeakyRelu(a)", ("act", False)),
        (PAIR + "[act] output = Relu(c)", ("act", True)),
        (PAIR + "[act] output = Sigmoid(c)", None),
        (PAIR + "[act] d = Relu(c) [sum] output = Add(c, d)", None),
        ("[act] d = Relu(a) [sum] output = Add(a, d)", None),
        ("[same] output = Identity(a)", None),
    ],
    ids=["fused", "parted", "none known", "read twice", "read beside it", "moved"],
)
def test_the_activation_behind_a_convolution(nodes, expected) -> None:
    view = view_of(BEHIND % nodes)
    found = view.activation_behind(view.operators[0], ACTIVATIONS)
    assert (found and (found[0].name, found[1])) == expected


@pytest.mark.parametrize(
    ("nodes", "tensor", "holds"),
    [
        (PAIR + "[same] output = Identity(c)", "b", True),
        (PAIR + "[same] output = Identity(c)", "c", False),
        (PAIR + "[same] output = Identity(c)", "input", False),
        (
            PAIR + "[cat] d = Concat<axis=2>(b, b) [dq2] e = DequantizeLinear(d, s, z) "
            "[pool] output = MaxPool<kernel_shape=[2,1], strides=[2,1]>(e)",
            "d",
            True,
        ),
        ("[cat] d = Concat<axis=2>(a, a) [p] output = MaxPool<kernel_shape=[4,1]>(d)", "d", False),
    ],
    ids=["codes", "values", "the picture", "codes joined", "values joined"],
)
def test_what_holds_codes(nodes, tensor, holds) -> None:
    assert view_of(BEHIND % nodes).holds_codes(tensor) is holds


def test_the_operators_of_a_file_of_our_own_are_the_float_graphs(emitted, residual) -> None:
    view = QdqView(GraphIndex(emitted("tensorrt-10", {"equalization": "none"})))
    assert [node.name for node in view.operators] == [node.name for node in residual.graph.node]
    found = {node.name: view.codes(node.input[1]) for node, _, _ in view.integer_convolutions()}
    assert {name: codes.dtype.name for name, codes in found.items()} == {
        "conv1": "int8",
        "conv2": "int8",
    }
    assert view.output_quantizer("trunk") is None
