"""Which edges carry a pair on which target, and why the others do not."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import UsageError
from calib.graph import GraphIndex
from quant.analysis.topology import Topology
from quant.plan import QuantOptions
from quant.planning import activation_scales
from quant.targets import PROFILES, find_profile
from tests.quant.by_model import make_plan


def readers(plan) -> dict[str, tuple[str, ...]]:
    return {name: edge.readers for name, edge in plan.edges.items()}


def plan_for(model, table, target: str, **options):
    return make_plan(model, table, find_profile(target), QuantOptions(**options))


def test_parts_follow_from_the_wiring(residual, compact) -> None:
    topology = Topology(GraphIndex(residual))
    parts = {node.name: topology.part(node) for node in topology.operators}
    assert parts == {
        "first": "head",
        "conv1": "body",
        "act1": "body",
        "cat": "body",
        "conv2": "body",
        "scale": "trunk",
        "sum": "trunk",
        "up": "tail",
        "conv_up": "tail",
        "act_up": "tail",
        "last": "tail",
    }
    topology = Topology(GraphIndex(compact))
    parts = {node.name: topology.part(node) for node in topology.operators}
    assert parts["conv0"] == parts["prelu0"] == parts["up"] == "head"
    assert parts["conv1"] == parts["prelu1"] == parts["conv2"] == "body"
    assert parts["shuffle"] == "tail"


@pytest.mark.parametrize(("name", "branch"), [("residual", "scaled"), ("compact", "details")])
def test_branch_of_the_residual_addition(name, branch, request) -> None:
    topology = Topology(GraphIndex(request.getfixturevalue(name)))
    addition = next(node for node in topology.operators if node.op_type == "Add")
    assert topology.branch_input(addition) == branch


def test_ort_keeps_trunk_and_ends_in_float_and_pairs_the_body(residual, residual_table) -> None:
    plan = plan_for(residual, residual_table, "ort")
    assert readers(plan) == {
        "feat": ("conv1", "cat"),
        "pre1": ("act1",),
        "x1": ("cat",),
        "joined": ("conv2",),
        "branch": ("scale",),
    }
    assert set(plan.weights) == {"w1", "w2"}
    assert set(plan.kept_float) == {
        "first", "scale", "sum", "up", "conv_up", "act_up", "last",
    }  # fmt: skip
    assert "trunk" in plan.kept_float["sum"]


def test_tensorrt_has_no_pair_before_the_activation_nor_on_the_branch(
    residual, residual_table
) -> None:
    plan = plan_for(residual, residual_table, "tensorrt", trunk="int8")
    assert readers(plan) == {
        "feat": ("conv1", "cat", "sum"),
        "x1": ("cat",),
        "joined": ("conv2",),
    }
    assert {edge.zero_point for edge in plan.edges.values()} == {0}
    assert {edge.dtype for edge in plan.edges.values()} == {"int8"}
    assert "keep them from fusing" in plan.kept_float["pre1"]


@pytest.mark.parametrize("target", ["ort", "openvino", "qnn"])
def test_full_integer_leaves_no_operator_in_float(target, residual, residual_table) -> None:
    plan = plan_for(residual, residual_table, target, full_integer=True)
    operators = {node.name for node in residual.graph.node}
    assert not operators & set(plan.kept_float)
    assert plan.edges["input"].readers == ("first",)
    assert plan.edges["output"].readers == ("<graph output>",)
    assert plan.edges["output"].scale == pytest.approx(1 / 255)
    assert plan.edges["output"].zero_point == 0


@pytest.mark.parametrize(
    ("options", "wider"), [({}, True), ({"trunk": "int8"}, False), ({"percentile": 99.0}, False)]
)
def test_clipping_weighs_more_at_the_end_of_a_branch_into_a_float_trunk(
    options, wider, residual, residual_table, monkeypatch
) -> None:
    chosen = plan_for(residual, residual_table, "ort", **options).edges
    monkeypatch.setattr(activation_scales, "BORDER_ON_FLOAT", 1e-3)
    careless = plan_for(residual, residual_table, "ort", **options).edges
    assert (chosen["branch"].scale > careless["branch"].scale) is wider
    assert chosen["feat"] == careless["feat"]


def test_one_scale_through_concat_and_resize(residual, residual_table) -> None:
    edges = plan_for(residual, residual_table, "ort", full_integer=True).edges
    assert edges["feat"].scale == edges["x1"].scale == edges["joined"].scale
    assert edges["feat"].zero_point == edges["x1"].zero_point == edges["joined"].zero_point
    assert edges["trunk"].scale == edges["large"].scale
    assert edges["branch"].scale != edges["feat"].scale


@pytest.mark.parametrize(
    ("target", "options", "joins"),
    [
        ("ort", {}, True),
        ("openvino", {}, True),
        ("ort", {"promoted": {"conv1": "for the test"}}, True),
        ("ort", {"promoted": {"conv2": "for the test"}}, False),  # the Concat's reader is in float
        ("ort", {"full_integer": True}, False),
        ("openvino", {"full_integer": True}, True),
        ("tensorrt", {}, False),
        ("qnn", {}, False),
    ],
)
def test_a_concat_joins_codes_where_the_target_takes_it_and_all_are_on_one_grid(
    target, options, joins, residual, residual_table
) -> None:
    plan = plan_for(residual, residual_table, target, **options)
    assert plan.integer_concats == (("cat",) if joins else ())


def test_a_concat_that_makes_the_picture_joins_values(parsed, calibrated) -> None:
    model: onnx.ModelProto = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,3,4,4] input) => (float[1,4,4,4] output) <float[2,3,3,3] w0, float[2,2,3,3] w1>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [b] t = Conv<pads=[1,1,1,1]>(s, w1)
          [cat] output = Concat<axis=1>(s, t)
        }"""
    )
    plan = plan_for(model, calibrated(model), "ort", tail="int8")
    assert not plan.integer_concats


def test_two_widths_on_one_tensor_are_chained(residual, residual_table) -> None:
    plan = plan_for(residual, residual_table, "qnn", trunk="int16")
    assert plan.edges["feat"].dtype == "uint8"
    assert plan.edges["feat:int16"].dtype == "uint16"
    assert plan.edges["feat:int16"].after == "feat"
    assert plan.edges["feat:int16"].readers == ("sum",)
    assert plan.uses_16_bits


def test_node_kept_in_float_is_named_with_its_reason(residual, residual_table) -> None:
    plan = plan_for(residual, residual_table, "ort", promoted={"conv2": "most sensitive"})
    assert plan.kept_float["conv2"] == "most sensitive"
    assert set(plan.weights) == {"w1"}
    assert "joined" not in plan.edges
    assert plan.edges["feat"].readers == ("conv1",)


@pytest.mark.parametrize(
    ("target", "options", "folded"),
    [
        ("ort", {}, False),
        ("ort", {"equalization": "growth"}, False),
        ("ort", {"trunk": "int8"}, True),
        ("ort", {"full_integer": True}, True),
        ("openvino", {}, True),
        ("tensorrt", {}, True),
        ("qnn", {}, True),
        ("qnn-w8a16", {}, True),
    ],
)
def test_a_residual_scale_is_folded_unless_it_serves_a_quantized_convolution(
    target, options, folded, residual, residual_table
) -> None:
    plan = plan_for(residual, residual_table, target, **options)
    assert plan.folded == (("scale",) if folded else ())
    assert ("one factor per channel" in plan.kept_float.get("scale", "")) is not folded
    if folded:
        assert not any("scale" in edge.readers for edge in plan.edges.values())


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize("options", [{}, {"trunk": "int8"}, {"full_integer": True}], ids=str)
@pytest.mark.parametrize("middle", [-0.9, 0.9])
def test_a_skip_is_folded_where_sums_are_in_8_bits_unless_weights_get_coarser(
    target, options, middle, residual, calibrated
) -> None:
    """``middle``: what the branch's convolution has, scaled, where the skip adds 1."""
    profile = PROFILES[target]
    if options.get("trunk", profile.trunk) not in profile.precisions:
        pytest.skip(f"{target} has no such trunk")
    model = onnx.ModelProto()
    model.CopyFrom(residual)
    (held,) = (held for held in model.graph.initializer if held.name == "w2")
    weight = np.zeros((4, 6, 3, 3), np.float32)
    weight[range(4), range(4), 1, 1] = middle / 0.2
    held.CopyFrom(numpy_helper.from_array(weight, "w2"))
    table = calibrated(model)
    in_8_bits = profile.convolution == "int8" and (
        profile.trunk == "int8" or options.get("trunk") == "int8" or "full_integer" in options
    )
    plan = plan_for(model, table, target, **options)
    assert ("sum" in plan.folded) is (in_8_bits and middle < 0.0)
    if in_8_bits and "int16" in profile.precisions:
        promoted = plan_for(model, table, target, promoted={"sum": "asked for"}, **options)
        assert "sum" not in promoted.folded


def test_without_equalization_the_graph_stays_as_it_is(residual, residual_table) -> None:
    plan = plan_for(residual, residual_table, "tensorrt", equalization="none")
    assert not plan.folded
    assert not plan.equalization


@pytest.mark.parametrize(
    ("target", "wish", "used"),
    [("ort", None, "all"), ("qnn-w8a16", None, "growth"), ("qnn-w8a16", "all", "all")],
)
def test_targets_have_their_own_default_equalization(
    target, wish, used, residual, residual_table
) -> None:
    plan = plan_for(residual, residual_table, target, equalization=wish)
    assert plan.options.equalization == used
    assert ("feat" in plan.equalization) is (used == "all")


def test_what_a_part_in_float_gains_is_in_the_reason(residual, residual_table) -> None:
    measured = plan_for(residual, residual_table, "ort").kept_float
    assert measured["sum"].endswith("on target ort: 8 bits there cost 2.1 dB")
    unmeasured = plan_for(residual, residual_table, "tensorrt").kept_float
    assert unmeasured["last"].endswith("on target tensorrt")


def test_forced_percentile_is_used_on_every_edge(residual, residual_table) -> None:
    plan = plan_for(residual, residual_table, "ort", percentile=99.0, full_integer=True)
    rules = {name: edge.rule for name, edge in plan.edges.items()}
    assert rules.pop("input") == rules.pop("output") == "pinned"
    assert all(rule.startswith("percentile 99") for rule in rules.values())


def test_prelu_edges(compact, compact_table) -> None:
    ort = plan_for(compact, compact_table, "ort")
    assert readers(ort) == {
        "p0": ("conv1",),
        "c1": ("prelu1",),
        "p1": ("conv2",),
        "c2": ("shuffle",),
    }
    assert set(plan_for(compact, compact_table, "qnn").constants) == {"slope0", "slope1"}


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("qnn", {"trunk": "float"}, "cannot run the trunk in float"),
        ("tensorrt", {"trunk": "int16"}, "cannot run the trunk in int16"),
        ("qnn-w8a16", {"tail": "int8"}, "cannot run the tail in int8"),
        ("ort", {"full_integer": True, "tail": "float"}, "full-integer with tail float"),
        ("ort", {"promoted": {"nowhere": "?"}}, "no node 'nowhere'"),
        ("ort", {"percentile": 50.0}, "above 50"),
        ("ort", {"accumulator_bits": 24}, "accumulator bits 24"),
    ],
)
def test_what_a_target_cannot_do_is_refused(
    target, options, message, residual, residual_table
) -> None:
    with pytest.raises(UsageError, match=message):
        plan_for(residual, residual_table, target, **options)


def test_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown target 'tpu'"):
        find_profile("tpu")
