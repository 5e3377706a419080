"""Concats that may join codes: all grids alike, each input quantized, and the target takes it."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.analysis.topology import Topology
from quant.plan import EdgeQuant, QuantOptions, QuantPlan
from quant.planning.integer_concats import (
    integer_concats,
    shiftable_concats,
    zero_points_apart,
)
from quant.planning.qdq_placement import Placement
from quant.targets import PROFILES, find_profile
from tests.quant.by_model import make_plan

PARTS = {"head": "float", "body": "int8", "trunk": "float", "tail": "float"}

# Two Concats, the second of what the first gives and one more tensor.
NESTED = """<ir_version: 8, opset_import: ["" : 17]>
nested (float[1,3,4,4] input) => (float[1,3,4,4] output)
<float[2,3,3,3] w0, float[2,2,3,3] w1, float[2,4,3,3] w2, float[3,6,3,3] w3>
{
  [first] a = Conv<pads=[1,1,1,1]>(input, w0)
  [one] b = Conv<pads=[1,1,1,1]>(a, w1)
  [inner] c = Concat<axis=1>(a, b)
  [two] d = Conv<pads=[1,1,1,1]>(c, w2)
  [outer] e = Concat<axis=1>(c, d)
  [last] output = Conv<pads=[1,1,1,1]>(e, w3)
}
"""
READERS = {
    "a": ("one", "inner"),
    "b": ("inner",),
    "c": ("two", "outer"),
    "d": ("outer",),
    "e": ("last",),
}


def edge(tensor: str) -> EdgeQuant:
    return EdgeQuant(tensor, "uint8", 0.5, 3, -1.5, 126.0, "test", READERS[tensor], None, 100.0)


def planned(**changes: EdgeQuant | None) -> QuantPlan:
    """Return a plan with one grid on every tensor of the graph, but for some edges."""
    edges = {name: edge(name) for name in READERS} | changes
    kept = {name: value for name, value in edges.items() if value is not None}
    return QuantPlan("ort", "", "", QuantOptions(), kept, {}, {}, (), {})


def joined(model: onnx.ModelProto, plan: QuantPlan, target="ort", **options) -> tuple[str, ...]:
    placement = Placement(
        Topology(GraphIndex(model)),
        find_profile(target),
        PARTS,
        {},
        options.get("full_integer", False),
    )
    return integer_concats(placement, plan)


def test_concats_of_one_grid_join_codes_in_graph_order(parsed) -> None:
    assert joined(parsed(NESTED), planned()) == ("inner", "outer")


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        pytest.param({"b": {"scale": 0.25}}, ("outer",), id="scale of an input"),
        pytest.param({"d": {"zero_point": 4}}, ("inner",), id="zero point of an input"),
        pytest.param({"a": {"dtype": "int8"}}, ("outer",), id="type of an input"),
        pytest.param({"e": {"scale": 0.25}}, ("inner",), id="scale of the output"),
        pytest.param({"c": {"scale": 0.25}}, (), id="scale of the tensor between the two"),
        pytest.param({"a": {"readers": ("one",)}}, ("outer",), id="an input read in float"),
        pytest.param({"b": {"low": -9.0, "rule": "other"}}, ("inner", "outer"), id="only words"),
    ],
)
def test_one_other_grid_and_a_concat_joins_values(changes, left, parsed) -> None:
    edges = {name: replace(edge(name), **change) for name, change in changes.items()}
    assert joined(parsed(NESTED), planned(**edges)) == left


@pytest.mark.parametrize(("missing", "left"), [("b", ("outer",)), ("e", ("inner",)), ("c", ())])
def test_a_tensor_left_in_float_is_not_joined(missing, left, parsed) -> None:
    assert joined(parsed(NESTED), planned(**{missing: None})) == left


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_targets_that_read_operators_by_their_pairs_get_none(target, parsed) -> None:
    both = ("inner", "outer")
    beside_float, alone = {"ort": (both, ()), "openvino": (both, both)}.get(target, ((), ()))
    assert joined(parsed(NESTED), planned(), target) == beside_float
    assert joined(parsed(NESTED), planned(), target, full_integer=True) == alone


def test_a_concat_that_makes_the_output_joins_values(parsed) -> None:
    model: onnx.ModelProto = parsed(NESTED)
    outputs = [onnx.helper.make_tensor_value_info("e", onnx.TensorProto.FLOAT, [1, 6, 4, 4])]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    assert joined(model, planned()) == ("inner",)


# A dense block: the Concat's output is read by convolutions with biases of their own.
DENSE = """<ir_version: 8, opset_import: ["" : 17]>
dense (float[1,3,4,4] input) => (float[1,3,4,4] output)
<float[2,3,3,3] w0, float[2] b0, float[2,2,3,3] w1, float[2] b1, float[2,4,3,3] w2, float[2] b2,
 float[3,2,3,3] w3, float[3] b3>
{
  [first] a = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [one] b = Conv<pads=[1,1,1,1]>(a, w1, b1)
  [join] c = Concat<axis=1>(a, b)
  [two] d = Conv<pads=[1,1,1,1]>(c, w2, b2)
  [last] output = Conv<pads=[1,1,1,1]>(d, w3, b3)
}
"""
OF_DENSE = {"a": ("one", "join"), "b": ("join",), "c": ("two",)}


def placed(text: str, parsed, target: str = "ort", *, full_integer: bool = False) -> Placement:
    topology = Topology(GraphIndex(parsed(text)))
    return Placement(topology, find_profile(target), PARTS, {}, full_integer)


@pytest.mark.parametrize("full_integer", [False, True])
@pytest.mark.parametrize("target", sorted(PROFILES))
def test_zero_points_may_lie_apart_where_a_target_joins_integers_so(
    target, full_integer, parsed
) -> None:
    found = shiftable_concats(placed(DENSE, parsed, target, full_integer=full_integer))
    assert found == ({"join"} if target == "ort" and not full_integer else set())


SECOND = "[two] d = Conv<pads=[1,1,1,1]>(c, w2, b2)"
MORE = {"float[3] b3>": "float[3] b3, float[2,4,3,3] w4, float[2] b4>"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"(c, w2, b2)": "(c, w2)"}, id="no bias to take it up"),
        pytest.param({"(d, w3, b3)": "(d, w3, b2)", "float[2] b2,": "float[3] b2,",
                      "float[2,4,3,3] w2": "float[3,4,3,3] w2",
                      "float[3,2,3,3] w3": "float[3,3,3,3] w3"}, id="another node reads the bias"),
        pytest.param({"[two] d = Conv<pads=[1,1,1,1]>": '[two] d = Conv<auto_pad="SAME_UPPER">'},
                     id="padding that is not stated"),
        pytest.param({"float[2,4,3,3] w2": "float[2,2,3,3] w2",
                      "[two] d = Conv<": "[two] d = Conv<group=2, "}, id="groups"),
        pytest.param({SECOND: "[two] x = Conv<pads=[1,1,1,1]>(c, w2, b2) [act] y = LeakyRelu(c) "
                              "[three] z = Conv<pads=[1,1,1,1]>(y, w4, b4) [sum] d = Add(x, z)"}
                     | MORE, id="another reader"),
        pytest.param({SECOND: "[two] x = Conv<pads=[1,1,1,1]>(c, w2, b2) "
                              "[three] z = Conv<pads=[2,2,2,2], dilations=[2,2]>(c, w4, b4) "
                              "[sum] d = Add(x, z)"} | MORE, id="readers that pad otherwise"),
        pytest.param({"<axis=1>(a, b)": "<axis=2>(a, b)", "float[2,4,3,3] w2": "float[2,2,3,3] w2",
                      "float[1,3,4,4] output": "float[1,3,8,4] output"}, id="rows"),
    ],
)  # fmt: skip
def test_what_cannot_make_up_for_zero_points_keeps_one(changes, parsed) -> None:
    text = DENSE
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    assert shiftable_concats(placed(text, parsed)) == frozenset()


def test_a_concat_of_a_concat_keeps_one_zero_point(parsed) -> None:
    """What it would pad has several."""
    biased = NESTED.replace("(c, w2)", "(c, w2, b2)").replace("(e, w3)", "(e, w3, b3)")
    biased = biased.replace("float[3,6,3,3] w3>", "float[3,6,3,3] w3, float[2] b2, float[3] b3>")
    assert shiftable_concats(placed(biased, parsed)) == frozenset()


@pytest.mark.parametrize(
    ("change", "apart"),
    [
        pytest.param({}, (), id="alike"),
        pytest.param({"zero_point": 9}, ("join",), id="zero points differ"),
        pytest.param({"zero_point": 9, "scale": 0.25}, (), id="so do scales"),
        pytest.param({"zero_point": 9, "dtype": "int8"}, (), id="so do types"),
    ],
)
def test_only_zero_points_may_differ(change, apart, parsed) -> None:
    edges = {
        name: EdgeQuant(name, "uint8", 0.5, 3, -1.5, 126.0, "test", readers, None, 100.0)
        for name, readers in OF_DENSE.items()
    }
    edges["b"] = replace(edges["b"], **change)
    plan = QuantPlan("ort", "", "", QuantOptions(), edges, {}, {}, (), {})
    placement = placed(DENSE, parsed)
    assert zero_points_apart(placement, plan) == apart
    joins = integer_concats(placement, replace(plan, zero_points_apart=apart))
    assert joins == (("join",) if apart or not change else ())


def test_the_real_network_has_them_apart_and_what_is_joined_clips_nothing(
    anime_float_path: Path, calibrated_anime: CalibrationTable
) -> None:
    model = onnx.load(anime_float_path)
    plan = make_plan(model, calibrated_anime, PROFILES["ort"], QuantOptions())
    concats = {n.name: n for n in model.graph.node if n.op_type == "Concat"}
    assert set(plan.zero_points_apart) <= set(plan.integer_concats) == set(concats)
    assert len(plan.zero_points_apart) > len(concats) / 2
    for name in plan.zero_points_apart:
        sources = [plan.edges[tensor] for tensor in concats[name].input]
        joined = plan.edges[concats[name].output[0]]
        assert joined.percentile == 100.0 > min(edge.percentile for edge in sources)
        assert joined.same_grid(sources[0])
        assert {edge.scale for edge in sources} == {joined.scale}
        assert len({edge.zero_point for edge in sources}) > 1
