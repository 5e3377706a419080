"""The strongly typed graph: fp16 between two casts, and the meaning of the float32 one."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from calib.runtime import Session
from quant.fp16.convert import all_half
from quant.numerics.half import held_by_half
from quant.plan import QuantOptions, QuantPlan
from quant.qdq.rules import check_rules
from quant.qdq.typed import strongly_typed
from quant.targets import PROFILES
from tests.quant.by_model import emit_qdq, make_plan

TYPED = [name for name, profile in PROFILES.items() if profile.float_type == "float16"]
OPTIONS = {
    "default": QuantOptions(),
    "full integer": QuantOptions(full_integer=True),
    "trunk": QuantOptions(trunk="int8", percentile=99.9),
    "as it is": QuantOptions(equalization="none"),
}


@pytest.fixture(params=[(target, name) for target in TYPED for name in OPTIONS], ids=str)
def how(request: pytest.FixtureRequest) -> tuple[str, QuantOptions]:
    target, name = request.param
    return target, OPTIONS[name]


@pytest.fixture(params=["residual", "compact"])
def model(request: pytest.FixtureRequest) -> onnx.ModelProto:
    found: onnx.ModelProto = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def plan(model: onnx.ModelProto, how: tuple[str, QuantOptions], calibrated) -> QuantPlan:
    target, options = how
    return make_plan(model, calibrated(model), PROFILES[target], options)


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def root_mean_square(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(one - other, dtype=np.float64))))


def test_all_is_fp16_between_one_cast_at_either_end(model, plan) -> None:
    typed = emit_qdq(model, plan)
    index = GraphIndex(typed)
    assert [entry.version for entry in typed.opset_import] == [19]
    operators = Counter(node.op_type for node in index.nodes)
    assert operators["Cast"] == 2
    (start,), (end,) = index.consumers("input"), [index.producer("output")]
    assert (start.op_type, end.op_type) == ("Cast", "Cast")
    ends = {"input", "output"}
    made = [name for node in index.nodes for name in node.output if name not in ends]
    types = Counter(index.element_type(name) for name in made)
    assert set(types) == {TensorProto.FLOAT16, TensorProto.INT8}
    kinds = {value.dtype for name, value in constants(typed).items() if name != "scales"}
    assert kinds == {np.dtype(np.float16), np.dtype(np.int8)}


def test_scales_are_the_plans_and_fp16_holds_them(model, plan) -> None:
    scales = [np.float32([edge.scale]) for edge in plan.edges.values()]
    scales += [quant.scale_array for quant in plan.weights.values()]
    assert len(scales) > 3
    assert all(held_by_half(scale) for scale in scales)
    stored = constants(emit_qdq(model, plan))
    for name, edge in plan.edges.items():
        assert stored[f"{name}_scale"] == edge.scale
    for name, quant in plan.weights.items():
        np.testing.assert_array_equal(stored[f"{name}_scale"], quant.scale_array)


def test_it_is_the_float32_graph_of_the_same_plan(model, plan, probes) -> None:
    """The same nodes, names and codes; what it draws differs by fp16's rounding alone."""
    typed = emit_qdq(model, plan)
    wide = emit_qdq(model, replace(plan, float_type="float32"))
    ours, theirs = constants(typed), constants(wide)
    for name, value in theirs.items():
        if value.dtype == np.float32 and name in ours:
            np.testing.assert_array_equal(ours[name], value.astype(ours[name].dtype), name)
        elif name in ours:
            np.testing.assert_array_equal(ours[name], value, name)
    # A factor whose reciprocal alone fp16 holds becomes a division (quant/fp16/exact_factors.py).
    assert {*theirs} - {*ours} <= {"fifth"}
    nodes = [node.name for node in typed.graph.node if node.op_type != "Cast"]
    assert nodes == [node.name for node in wide.graph.node]
    for picture in probes(model, 3):
        found, expected, true = (
            Session(m, optimized=False, threads=1).run({"input": picture})["output"].clip(0, 1)
            for m in (typed, wide, model)
        )
        (strictly,) = ReferenceEvaluator(typed).run(None, {"input": picture})
        assert strictly.dtype == np.float32
        # fp16 moves a value over a code's border here and there: its error is rounding's own.
        assert root_mean_square(found, expected) < 0.006
        assert root_mean_square(found, strictly.clip(0, 1)) < 0.006
        # Of a picture near 1, fp16's steps are 2^-11 wide.
        allowed = 1.15 * root_mean_square(expected, true) + 2.0**-11
        assert root_mean_square(found, true) < allowed
        assert root_mean_square(strictly.clip(0, 1), true) < allowed


@pytest.mark.parametrize("slopes", [(0.3,), (0.3, 0.3), (0.3, 0.2), (0.0, 0.0)], ids=str)
def test_a_prelu_of_one_slope_is_a_leaky_relu(slopes, parsed, calibrated, probes) -> None:
    model = parsed(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,3,3] w0, float[{len(slopes)},1,1] slope, float[2,2,3,3] w1, float[2,2,3,3] w2>
        {{
          [before] s = Conv<pads=[1,1,1,1]>(input, w0)
          [conv] c = Conv<pads=[1,1,1,1]>(s, w1)
          [act] a = PRelu(c, slope)
          [last] output = Conv<pads=[1,1,1,1]>(a, w2)
        }}"""
    )
    for tensor in model.graph.initializer:
        if tensor.name == "slope":
            value = np.float32(slopes).reshape(-1, 1, 1)
            tensor.CopyFrom(numpy_helper.from_array(value, "slope"))
    plan = make_plan(model, calibrated(model), PROFILES["tensorrt"], QuantOptions())
    typed = emit_qdq(model, plan)
    (node,) = [node for node in typed.graph.node if node.name == "act"]
    one = len(set(slopes)) == 1 and slopes[0] != 0.0
    assert node.op_type == ("LeakyRelu" if one else "PRelu")
    assert ("slope" in constants(typed)) != one
    assert check_rules(typed, PROFILES["tensorrt"]) == ()
    (picture,) = probes(model, 1)
    wide = emit_qdq(model, replace(plan, float_type="float32"))
    drawn = [Session(m, optimized=False).run({"input": picture})["output"] for m in (typed, wide)]
    assert root_mean_square(*drawn) < 0.02 * np.abs(drawn[1]).max()


def test_a_scale_that_fp16_rounds_is_refused(emitted) -> None:
    with pytest.raises(GraphError, match=r"the scale of '\w+' is none that fp16 holds exactly"):
        strongly_typed(emitted("tensorrt-10"))


@pytest.mark.parametrize("target", TYPED)
def test_a_value_beyond_fp16_is_refused_by_name(target, parsed, calibrated) -> None:
    loud = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float gain = {1e5}, float[2,2,3,3] w0, float[2,2,3,3] w1>
        {
          [before] felt = Conv<pads=[1,1,1,1]>(input, w0)
          [loud] amplified = Mul(felt, gain)
          [after] output = Conv<pads=[1,1,1,1]>(amplified, w1)
        }"""
    )
    table = calibrated(loud)
    with pytest.raises(UsageError, match=r"computes in fp16, and weight 'gain' reaches 100000,"):
        make_plan(loud, table, PROFILES[target], QuantOptions(equalization="none"))
    assert make_plan(loud, table, PROFILES["tensorrt-10"], QuantOptions()).weights


def test_a_tiny_scale_keeps_to_the_normal_numbers_of_fp16(parsed, calibrated) -> None:
    """A channel of tiny weights, and an activation of tiny values."""
    quiet = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,3,3] w0, float[2,2,3,3] w1, float[2,2,3,3] w2>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [b] t = Conv<pads=[1,1,1,1]>(s, w1)
          [c] output = Conv<pads=[1,1,1,1]>(t, w2)
        }"""
    )
    for tensor in quiet.graph.initializer:
        if tensor.name in {"w0", "w1"}:
            value = numpy_helper.to_array(tensor) * np.float32(1e-4)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    options = QuantOptions(full_integer=True, equalization="none")
    plan = make_plan(quiet, calibrated(quiet), PROFILES["tensorrt"], options)
    assert plan.edges["t"].scale == plan.weights["w1"].scales[0] == 2.0**-14


def test_casts_of_the_network_itself_become_fp16(parsed) -> None:
    """A mask that a network makes of its picture goes from truth values to numbers."""
    masked = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,4,4] output) <float half = {0.5}>
        {
          [bright] b = Greater(input, half)
          [mask] m = Cast<to = 1>(b)
          [mul] output = Mul(input, m)
        }"""
    )
    typed = all_half(masked)
    onnx.checker.check_model(typed, full_check=True)
    types = {name: GraphIndex(typed).element_type(name) for name in ("b", "m", "output_half")}
    half = TensorProto.FLOAT16
    assert types == {"b": TensorProto.BOOL, "m": half, "output_half": half}


def test_a_constant_of_two_types_is_refused(parsed) -> None:
    twofold = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,8,8] output) <float[4] factors = {1, 1, 2, 2}>
        {
          [wide] w = Mul(input, factors)
          [large] output = Resize(w, , factors)
        }"""
    )
    with pytest.raises(GraphError, match="constant 'factors' is read as fp16 and as float32"):
        all_half(twofold)
