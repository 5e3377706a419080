"""Convolutions that belong together: what they read, side by side, and through which window."""

import re
from collections.abc import Iterable

import onnx
import pytest

from calib.graph import GraphIndex
from quant.analysis.layer_groups import find_layer_groups
from quant.plan import QuantOptions, QuantPlan, WeightQuant

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

# A dense block of three convolutions, the third behind a Concat of a Concat, and one more.
DENSE = (
    HEADER
    + """
dense (float[1,2,6,6] input) => (float[1,2,6,6] output)
<float[2,2,3,3] w1, float[2,4,3,3] w2, float[2,6,3,3] w3, float[2,2,3,3] w4>
{
  [one] a = Conv<pads=[1,1,1,1]>(input, w1)
  [cat1] b = Concat<axis=1>(input, a)
  [two] c = Conv<pads=[1,1,1,1]>(b, w2)
  [cat2] d = Concat<axis=-3>(b, c)
  [three] e = Conv<pads=[1,1,1,1]>(d, w3)
  [four] output = Conv<pads=[1,1,1,1]>(e, w4)
}
"""
)


def planned(model: onnx.ModelProto, without: Iterable[str] = ()) -> QuantPlan:
    """Return a plan that quantizes the weight of every convolution but some."""
    weights = {
        node.input[1]: WeightQuant(node.name, (1.0,), 32, None)
        for node in model.graph.node
        if node.op_type == "Conv" and node.name not in without
    }
    return QuantPlan("ort", "", "", QuantOptions(), {}, weights, {}, (), {})


def groups_of(model: onnx.ModelProto, without: Iterable[str] = ()) -> tuple[list, dict]:
    """Return nodes and sources of each group by name, and the weights that belong to none."""
    groups, alone = find_layer_groups(GraphIndex(model), planned(model, without))
    for group in groups:
        assert group.name == group.nodes[-1].name
    return [([node.name for node in g.nodes], g.sources) for g in groups], alone


def test_a_dense_block_is_one_group_and_the_next_convolution_another(parsed) -> None:
    assert groups_of(parsed(DENSE)) == (
        [(["one", "two", "three"], ("input", "a", "c")), (["four"], ("e",))],
        {},
    )


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ("one", [(["two", "three"], ("input", "a", "c")), (["four"], ("e",))]),
        ("three", [(["one", "two"], ("input", "a")), (["four"], ("e",))]),
        ("four", [(["one", "two", "three"], ("input", "a", "c"))]),
    ],
)
def test_a_convolution_in_float_is_in_no_group(without, expected, parsed) -> None:
    assert groups_of(parsed(DENSE), [without]) == (expected, {})


@pytest.mark.parametrize(
    ("weight", "attributes"),
    [
        ("float[2,2,1,1]", ""),
        ("float[2,2,3,3]", "pads=[2,2,2,2], dilations=[2,2]"),
        ("float[2,2,3,3]", "pads=[1,1,1,1], strides=[2,2]"),
        ("float[2,2,3,3]", "pads=[2,2,2,2]"),
    ],
    ids=["kernel", "dilation", "stride", "pads"],
)
def test_another_window_is_another_group(weight, attributes, parsed) -> None:
    """Both read the same tensor, and see another part of it from each position."""
    other = f"Conv<{attributes}>" if attributes else "Conv"
    model = parsed(
        HEADER
        + f"""g (float[1,2,6,6] input) => (float[1,2,6,6] one, float[1,2,A,B] two)
        <float[2,2,3,3] w1, {weight} w2>
        {{
          [a] one = Conv<pads=[1,1,1,1]>(input, w1)
          [b] two = {other}(input, w2)
        }}"""
    )
    assert groups_of(model) == ([(["a"], ("input",)), (["b"], ("input",))], {})


def test_what_begins_alike_is_one_group_and_what_ends_alike_is_not(parsed) -> None:
    model = parsed(
        HEADER
        + """g (float[1,2,6,6] input) => (float[1,2,6,6] one, float[1,2,6,6] two)
        <float[2,2,1,1] w0, float[2,4,1,1] w1, float[2,2,1,1] w2>
        {
          [stem] x = Conv(input, w0)
          [cat] y = Concat<axis=1>(x, input)
          [a] one = Conv(y, w1)
          [b] two = Conv(input, w2)
        }"""
    )
    assert groups_of(model)[0] == [(["stem", "b"], ("input",)), (["a"], ("x", "input"))]


@pytest.mark.parametrize(
    ("convolution", "weight", "reason"),
    [
        ("Conv<group=2, pads=[1,1,1,1]>", "float[2,1,3,3]", "a convolution of 2 groups"),
        ('Conv<auto_pad="SAME_UPPER">', "float[2,2,3,3]", "with stated pads"),
    ],
    ids=["groups", "padded by rule"],
)
def test_a_convolution_that_cannot_be_sampled_stands_alone_with_its_reason(
    convolution, weight, reason, parsed
) -> None:
    model = parsed(
        HEADER
        + f"""g (float[1,2,6,6] input) => (float[1,2,6,6] output)
        <float[2,2,3,3] w1, {weight} w2>
        {{
          [one] a = Conv<pads=[1,1,1,1]>(input, w1)
          [odd] output = {convolution}(a, w2)
        }}"""
    )
    groups, alone = groups_of(model)
    assert groups == [(["one"], ("input",))]
    assert list(alone) == ["w2"]
    assert re.search(reason, alone["w2"])
