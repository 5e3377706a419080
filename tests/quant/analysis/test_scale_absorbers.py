"""Which constants can take up factors of their channels, and which cannot."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.graph import GraphIndex
from quant.analysis.scale_absorbers import (
    can_absorb_scale,
    convolution_can_absorb_scale,
    residual_scale,
    residual_scales,
)

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

CONVOLUTION = (
    HEADER
    + """
g (float[1,2,4,4] input%(more)s) => (float[1,2,4,4] output)
<%(weights)s>
{
  %(before)s
  [conv] a = %(conv)s
  %(others)s
}
"""
)
PLAIN = {
    "more": "",
    "before": "",
    "weights": "float[2,2,3,3] w, float[2] b",
    "conv": "Conv<pads=[1,1,1,1]>(input, w, b)",
    "others": "[end] output = Identity(a)",
}


def node(index: GraphIndex, name: str) -> onnx.NodeProto:
    return next(node for node in index.nodes if node.name == name)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param({}, True, id="weight and bias"),
        pytest.param({"conv": "Conv<pads=[1,1,1,1]>(input, w)"}, True, id="no bias"),
        pytest.param({"conv": "Conv<pads=[1,1,1,1], group=1>(input, w, b)"}, True, id="one group"),
        pytest.param(
            {
                "weights": "float[2,1,3,3] w, float[2] b",
                "conv": "Conv<pads=[1,1,1,1], group=2>(input, w, b)",
            },
            False,
            id="two groups",
        ),
        pytest.param(
            {"others": "[c] output = Conv<pads=[1,1,1,1]>(a, w)"}, False, id="shared weight"
        ),
        pytest.param(
            {"others": "[r] k = ReduceSum(b) [c] output = Add(a, k)"}, False, id="bias read"
        ),
        pytest.param({"more": ", float[2,2,3,3] w"}, False, id="a caller may replace the weight"),
        pytest.param(
            {"conv": "Conv<pads=[1,1,1,1]>(input, v, b)", "before": "[v] v = Identity(w)"},
            False,
            id="computed weight",
        ),
        pytest.param(
            {"conv": "Relu(input) [use] u = Conv(input, w, b)"}, False, id="another operator"
        ),
    ],
)
def test_a_convolution_absorbs_into_what_is_its_own(words, expected, parsed) -> None:
    index = GraphIndex(parsed(CONVOLUTION % (PLAIN | words)))
    assert convolution_can_absorb_scale(index, node(index, "conv")) is expected
    assert can_absorb_scale(index, node(index, "conv")) is expected


def test_a_weight_of_another_type_absorbs_nothing(parsed) -> None:
    model = parsed(CONVOLUTION % PLAIN)
    for tensor in model.graph.initializer:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    index = GraphIndex(model)
    assert not convolution_can_absorb_scale(index, node(index, "conv"))


BRANCH = (
    HEADER
    + """
g (float[1,2,4,4] input) => (float[1,2,4,4] output%(outputs)s)
<float[2,2,3,3] w, float[2,2,3,3] w2, %(constant)s>
{
  %(before)s
  [scale] s = %(mul)s
  [sum] output = Add(%(after)s, input)
}
"""
)
SCALED = {
    "outputs": "",
    "constant": "float c = {0.25}",
    "before": "[conv] a = Conv<pads=[1,1,1,1]>(input, w)",
    "mul": "Mul(a, c)",
    "after": "s",
}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        pytest.param({}, [0.25, 0.25], id="one constant"),
        pytest.param({"mul": "Mul(c, a)"}, [0.25, 0.25], id="on the left"),
        pytest.param({"constant": "float[1,1,1,1] c = {0.25}"}, [0.25, 0.25], id="in four axes"),
        pytest.param({"constant": "float[2,1,1] c = {0.5, 2.0}"}, [0.5, 2.0], id="by channel"),
        pytest.param({"constant": "float[1,2,1,1] c = {0.5, 2.0}"}, [0.5, 2.0], id="and picture"),
    ],
)
def test_a_residual_scale_has_a_positive_constant_for_each_channel(words, values, parsed) -> None:
    index = GraphIndex(parsed(BRANCH % (SCALED | words)))
    found = residual_scale(index, node(index, "scale"))
    assert found.values.tolist() == values
    assert (found.input, found.output, found.constant) == ("a", "s", "c")
    assert found.convolution.name == "conv"
    assert can_absorb_scale(index, found.node)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({"constant": "float c = {-0.25}"}, id="negative"),
        pytest.param({"constant": "float c = {0}"}, id="zero"),
        pytest.param({"constant": "float[2,1,1] c = {0.5, -2.0}"}, id="one negative"),
        pytest.param({"constant": "float[4] c = {1.0, 2.0, 3.0, 4.0}"}, id="by column"),
        pytest.param({"constant": "float[1,1,4,1] c = {1.0, 2.0, 3.0, 4.0}"}, id="by row"),
        pytest.param({"mul": "Mul(a, input)", "constant": "float c = {1.0}"}, id="no constant"),
        pytest.param({"mul": "Mul(a, a)"}, id="squared"),
        pytest.param({"mul": "Add(a, c)"}, id="added"),
        pytest.param({"mul": "Mul(input, c)"}, id="of the picture"),
        pytest.param(
            {"before": "[conv] z = Conv<pads=[1,1,1,1]>(input, w) [act] a = Relu(z)"},
            id="behind an activation",
        ),
        pytest.param(
            {"before": "[conv] a = Conv<pads=[1,1,1,1]>(input, w) [two] t = Neg(a)"},
            id="not the only reader",
        ),
        pytest.param({"outputs": ", float[1,2,4,4] a"}, id="the convolution is an output"),
        pytest.param({"outputs": ", float[1,2,4,4] s"}, id="the product is an output"),
        pytest.param(
            {"mul": "Mul(a, c) [again] t = Mul(s, c)", "after": "t"},
            id="the constant is read again",
        ),
    ],
)
def test_what_is_no_residual_scale(words, parsed) -> None:
    index = GraphIndex(parsed(BRANCH % (SCALED | words)))
    assert residual_scale(index, node(index, "scale")) is None
    assert residual_scales(index) == ()
    assert not can_absorb_scale(index, node(index, "scale"))


def test_all_residual_scales_in_graph_order(residual, parsed) -> None:
    assert [scale.node.name for scale in residual_scales(GraphIndex(residual))] == ["scale"]
    model = parsed(
        HEADER
        + """g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,1,1] w, float[2,2,1,1] w2, float c = {0.5}, float d = {2.0}>
        {
          [a] x = Conv(input, w)
          [second] y = Mul(x, c)
          [b] z = Conv(y, w2)
          [first] t = Mul(d, z)
          [end] output = Identity(t)
        }"""
    )
    found = residual_scales(GraphIndex(model))
    assert [(scale.node.name, scale.values[0]) for scale in found] == [
        ("second", 0.5),
        ("first", 2.0),
    ]
