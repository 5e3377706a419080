"""Sets of channels that share one factor: every free factor leaves the output alone, and the
sets are as small as the wiring allows."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from calib.graph import GraphIndex
from calib.runtime import Session
from quant.passes.equalization_sets import channel_classes
from quant.passes.fold import fold

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

GRAPHS = {
    "convolutions": """g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[3,2,3,3] w0, float[3] b0, float[2,3,3,3] w1>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0, b0)
          [b] t = LeakyRelu<alpha=0.2>(s)
          [c] output = Conv<pads=[1,1,1,1]>(t, w1)
        }""",
    "dense block": """g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,3,3] w0, float[2,2,3,3] w1, float[3,4,3,3] w2, float[2,3,3,3] w3>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [b] t = Conv<pads=[1,1,1,1]>(s, w1)
          [cat] u = Concat<axis=1>(s, t)
          [c] v = Conv<pads=[1,1,1,1]>(u, w2)
          [d] output = Conv<pads=[1,1,1,1]>(v, w3)
        }""",
    "residual": """g (float[1,2,4,4] input) => (float[1,2,8,8] output)
        <float[2,2,3,3] w0, float[2,2,3,3] w1, float c = {0.2}, float two = {2.0},
         float[4] scales = {1.0, 1.0, 2.0, 2.0}, float[2,2,3,3] w2>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [b] t = Conv<pads=[1,1,1,1]>(s, w1)
          [scale] u = Mul(t, c)
          [sum] v = Add(u, s)
          [more] x = Mul(v, two)
          [up] y = Resize<mode="nearest">(x, , scales)
          [d] output = Conv<pads=[1,1,1,1]>(y, w2)
        }""",
    "joined with the picture": """g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,3,3] w0, float[2,4,3,3] w1>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [cat] t = Concat<axis=1>(input, s)
          [b] output = Conv<pads=[1,1,1,1]>(t, w1)
        }""",
}


def rescaled(model: onnx.ModelProto, factors: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Return the model with each tensor's channels divided: convolutions and scales take it up."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    arrays = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    for node in changed.graph.node:
        if node.op_type == "Conv":
            rows, columns = factors[node.output[0]], factors[node.input[0]]
            arrays[node.input[1]] *= (columns[None, :] / rows[:, None])[..., None, None]
            if len(node.input) > 2:
                arrays[node.input[2]] /= rows
        elif node.name == "scale":
            ratio = factors[node.input[0]] / factors[node.output[0]]
            arrays[node.input[1]] = arrays[node.input[1]] * ratio.reshape(-1, 1, 1)
    for tensor in changed.graph.initializer:
        value = arrays[tensor.name].astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return changed


@pytest.mark.parametrize("text", GRAPHS.values(), ids=GRAPHS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_any_factor_for_each_free_class_leaves_the_output_as_it_is(text, seed, parsed) -> None:
    model = parsed(HEADER + text)
    classes = channel_classes(GraphIndex(model))
    rng = np.random.default_rng(seed)
    factor = np.exp2(rng.uniform(-3, 3, classes.count))
    factor[classes.pinned] = 1.0
    factors = {tensor: factor[numbers] for tensor, numbers in classes.of.items()}
    picture = rng.random((1, 2, 4, 4), np.float32)
    found, expected = (
        Session(m, optimized=False, threads=1).run({"input": picture})["output"]
        for m in (rescaled(model, factors), model)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convolutions", [{"s0", "t0"}, {"s1", "t1"}, {"s2", "t2"}]),
        (
            "dense block",
            [{"s0", "u0"}, {"s1", "u1"}, {"t0", "u2"}, {"t1", "u3"}, {"v0"}, {"v1"}, {"v2"}],
        ),
        (
            "residual",
            [{"s0", "u0", "v0", "x0", "y0"}, {"s1", "u1", "v1", "x1", "y1"}, {"t0"}, {"t1"}],
        ),
        ("joined with the picture", [{"s0", "t2"}, {"s1", "t3"}]),
    ],
)
def test_no_set_is_larger_than_the_wiring_asks_for(name, expected, parsed) -> None:
    classes = channel_classes(GraphIndex(parsed(HEADER + GRAPHS[name])))
    members: dict[int, set[str]] = {}
    for tensor, numbers in classes.of.items():
        for channel, number in enumerate(numbers):
            members.setdefault(int(number), set()).add(f"{tensor}{channel}")
    pinned = members.pop(classes.pinned)
    assert {"input0", "input1", "output0", "output1"} <= pinned
    assert sorted(members.values(), key=min) == sorted(expected, key=min)
    assert classes.count == len(members) + 1


@pytest.mark.parametrize(
    ("between", "free"),
    [
        pytest.param("LeakyRelu<alpha=0.3>(s)", True, id="LeakyReLU"),
        pytest.param("PRelu(s, slope)", True, id="PReLU"),
        pytest.param("Relu(s)", True, id="ReLU"),
        pytest.param("Identity(s)", True, id="Identity"),
        pytest.param("Mul(s, one)", True, id="Mul by a negative constant"),
        pytest.param("Mul(s, signs)", True, id="Mul by a constant for each channel"),
        pytest.param("Max(s, s)", True, id="Max"),
        pytest.param('Resize<mode="nearest">(s, , scales)', True, id="Resize nearest"),
        pytest.param("Sigmoid(s)", False, id="Sigmoid"),
        pytest.param("Add(s, one)", False, id="Add of a constant"),
        pytest.param("Mul(s, places)", False, id="Mul by a constant for each place"),
        pytest.param("Mul(s, s)", False, id="squared"),
        pytest.param('Resize<mode="linear">(s, , scales)', False, id="Resize linear"),
        pytest.param("Concat<axis=2>(s, s)", False, id="Concat of rows"),
        pytest.param("Transpose<perm=[0,1,3,2]>(s)", False, id="Transpose"),
    ],
)
def test_what_passes_a_factor_on_and_what_pins_it(between, free, parsed) -> None:
    model = parsed(
        f"""{HEADER}
        g (float[1,2,4,4] input) => (float[A,B,C,D] output)
        <float[2,2,1,1] w0, float[2,2,1,1] w1, float[2,1,1] slope, float one = {{-1.0}},
         float[2,1,1] signs = {{1.0, -1.0}}, float[1,1,4] places = {{1.0, -1.0, 2.0, 3.0}},
         float[4] scales = {{1.0, 1.0, 2.0, 2.0}}>
        {{
          [a] s = Conv(input, w0)
          [between] t = {between}
          [b] output = Conv(t, w1)
        }}"""
    )
    classes = channel_classes(GraphIndex(model))
    assert classes.free("s").tolist() == [free, free]
    assert not classes.free("input").any()
    assert not classes.free("unknown").any()
    if free:
        np.testing.assert_array_equal(classes.of["s"], classes.of["t"])


def test_the_ends_of_the_graph_are_pinned(residual: onnx.ModelProto) -> None:
    classes = channel_classes(GraphIndex(residual))
    assert not classes.free("input").any()
    assert not classes.free("output").any()


def test_the_trunk_is_one_class_per_channel_and_growth_and_branch_are_their_own(
    residual: onnx.ModelProto,
) -> None:
    of = channel_classes(GraphIndex(residual)).of
    for tensor in ("scaled", "trunk", "large"):
        assert of[tensor].tolist() == of["feat"].tolist()
    assert of["joined"].tolist() == [*of["feat"], *of["x1"]]
    assert len({*of["feat"], *of["x1"], *of["branch"], *of["pre_up"]}) == 4 + 2 + 4 + 4


def test_a_folded_branch_belongs_to_the_trunk(residual: onnx.ModelProto) -> None:
    of = channel_classes(GraphIndex(fold(residual, ["scale"]).model)).of
    assert of["branch"].tolist() == of["feat"].tolist()
