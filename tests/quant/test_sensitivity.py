"""What a group costs alone, what the costs predict, and what raising one does."""

import dataclasses
import math

import numpy as np
import pytest

from calib.errors import UsageError
from calib.graph import GraphIndex
from calib.records import encode
from quant.analysis.layer_groups import find_layer_groups
from quant.passes.prepared import PreparedGraph
from quant.plan import QuantOptions
from quant.planner import plan_graph
from quant.planning.ranges import ROOM
from quant.qdq.int8_weights import RoundedWeights
from quant.sensitivity import (
    ADDITIONS,
    GroupCost,
    Sensitivity,
    SensitivityFile,
    measured_groups,
    quantized_additions,
    restricted,
    restricted_to_additions,
)
from quant.targets import PROFILES
from tests.quant.by_model import (
    emit_qdq,
    equalized_model,
    make_plan,
    measure_sensitivity,
    quantized_parity_db,
)
from tests.quant.conftest import HEADER, observe, parse, pictures

# Three residual blocks, each of which reads what the one before adds up.
TRUNK = (
    HEADER
    + """
trunk (float[1,3,8,8] input) => (float[1,3,8,8] output)
<float[4,3,3,3] w0, float[4] b0, float[4,4,3,3] w1, float[4] b1, float[4,4,3,3] w2, float[4] b2,
 float[4,4,3,3] w3, float[4] b3, float[3,4,3,3] w4, float[3] b4>
{
  [first] feat = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [a] branch1 = Conv<pads=[1,1,1,1]>(feat, w1, b1)
  [add1] t1 = Add(branch1, feat)
  [b] branch2 = Conv<pads=[1,1,1,1]>(t1, w2, b2)
  [add2] t2 = Add(branch2, t1)
  [c] branch3 = Conv<pads=[1,1,1,1]>(t2, w3, b3)
  [add3] t3 = Add(branch3, t2)
  [last] output = Conv<pads=[1,1,1,1]>(t3, w4, b4)
}
"""
)

TARGETS = ["ort", "qnn", "tensorrt", "openvino"]


@pytest.fixture(params=TARGETS)
def plan(request, residual, residual_table):
    return make_plan(residual, residual_table, PROFILES[request.param], QuantOptions())


def test_families_are_what_one_concat_feeds(residual, residual_table) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    groups, alone = find_layer_groups(GraphIndex(residual), plan)
    assert [[node.name for node in group.nodes] for group in groups] == [["conv1", "conv2"]]
    assert groups[0].sources == ("feat", "x1")
    assert groups[0].name == "conv2"
    assert alone == {}


def test_a_restricted_plan_quantizes_one_family_and_nothing_else(plan, residual) -> None:
    index = GraphIndex(equalized_model(residual, plan))
    for group in find_layer_groups(index, plan)[0]:
        alone = restricted(index, plan, group)
        assert {quant.node for quant in alone.weights.values()} == {n.name for n in group.nodes}
        emitted = emit_qdq(residual, alone)
        quantized = {n.name for n in emitted.graph.node if n.op_type == "QuantizeLinear"}
        assert quantized
        assert quantized <= {f"{name}_QuantizeLinear" for name in plan.edges}


def test_costs_add_up_to_about_the_whole(plan, residual, probes, tmp_path) -> None:
    steps: list[int] = []
    measured = measure_sensitivity(
        residual, plan, RoundedWeights(), probes(residual),
        on_step=lambda: steps.append(1),
    )  # fmt: skip
    assert len(steps) == len(measured.groups)
    total = sum(group.squared_error for group in measured.groups)
    assert all(group.squared_error > 0 for group in measured.groups)
    if plan.target != "qnn":  # there what groups give to one another counts for both
        assert 0.5 < total / measured.squared_error < 2.0
    assert measured.parity_db == pytest.approx(
        quantized_parity_db(residual, plan, RoundedWeights(), probes(residual)), abs=1e-6
    )
    path = tmp_path / "sensitivity.json"
    path.write_bytes(encode(SensitivityFile("0" * 64, measured)))
    assert SensitivityFile.read(path).measured == measured


def test_the_most_costly_come_first_and_no_more_than_needed() -> None:
    costs = {"a": 1e-4, "b": 4e-4, "c": 2e-4}
    groups = tuple(GroupCost(name, (name,), error, 1) for name, error in costs.items())
    measured = Sensitivity(groups, 7e-4, 2)

    def chosen(parity_db: float) -> list[str]:
        return [group.name for group in measured.most_costly_until(parity_db)]

    assert chosen(measured.parity_db) == []
    assert chosen(-10 * math.log10(3.1e-4)) == ["b"]
    assert chosen(-10 * math.log10(1.1e-4)) == ["b", "c"]
    assert chosen(100.0) == ["b", "c", "a"]


def test_where_multiplications_count_cheap_groups_come_first() -> None:
    groups = (
        GroupCost("large", ("large",), 6e-4, 1000),
        GroupCost("small", ("small",), 3e-4, 10),
        GroupCost(ADDITIONS, ("add",), 1e-4, 0),
    )
    measured = Sensitivity(groups, 1e-3, 2)

    def chosen(left: float, *, sparing_macs: bool) -> list[str]:
        found = measured.most_costly_until(-10 * math.log10(left), sparing_macs=sparing_macs)
        return [group.name for group in found]

    assert chosen(9.5e-4, sparing_macs=True) == [ADDITIONS]
    assert chosen(7e-4, sparing_macs=True) == [ADDITIONS, "small"]
    assert chosen(7e-4, sparing_macs=False) == ["large"]
    assert chosen(1e-9, sparing_macs=True) == [ADDITIONS, "small", "large"]


def planned(model, target: str, options: QuantOptions) -> PreparedGraph:
    return plan_graph(GraphIndex(model), observe(model), PROFILES[target], options)


@pytest.mark.parametrize(
    ("target", "full_integer", "quantized"),
    [("ort", False, False), ("openvino", False, False), ("ort", True, True), ("qnn", False, True)],
)
def test_additions_are_a_group_where_they_hand_on_8_bits(target, full_integer, quantized) -> None:
    model = parse(TRUNK)
    prepared = planned(model, target, QuantOptions(full_integer=full_integer, rounding="nearest"))
    additions = quantized_additions(prepared)
    assert additions == (("add1", "add2", "add3") if quantized else ())
    measured = measure_sensitivity(model, prepared.plan, RoundedWeights(), pictures(model))
    assert [g.name for g in measured.groups if not g.macs] == ([ADDITIONS] if quantized else [])
    assert measured_groups(prepared) == len(measured.groups)
    alone = restricted_to_additions(prepared.index, prepared.plan, additions)
    assert not alone.weights
    between = {(edge.tensor, edge.readers) for edge in alone.edges.values()}
    assert between == ({("t1", ("add2",)), ("t2", ("add3",))} if quantized else set())


def test_sums_that_convolutions_alone_read_are_no_group(residual, residual_table) -> None:
    prepared = plan_graph(
        GraphIndex(residual), residual_table, PROFILES["qnn"], QuantOptions(rounding="nearest")
    )
    assert quantized_additions(prepared) == ()


def test_promoted_additions_hand_on_16_bits_and_convolutions_read_8() -> None:
    model, options = parse(TRUNK), QuantOptions(rounding="nearest")
    plan = planned(model, "qnn", options).plan
    reasons = dict.fromkeys(("add1", "add2", "add3"), "no multiplication more")
    promoted = planned(model, "qnn", dataclasses.replace(options, promoted=reasons)).plan
    read = {
        (edge.tensor, reader): edge.dtype
        for edge in promoted.edges.values()
        for reader in edge.readers
    }
    assert read["t1", "add2"] == read["t2", "add3"] == "uint16"
    assert read["t1", "b"] == read["t2", "c"] == "uint8"
    before, after = (
        quantized_parity_db(
            model,
            restricted_to_additions(GraphIndex(equalized_model(model, one)), one, reasons),
            RoundedWeights(),
            pictures(model),
        )
        for one in (plan, promoted)
    )
    finer = 2**8 / ROOM  # steps of 16 bits, beside those of 8
    assert after > before + 20.0 * np.log10(finer) - 1.0


@pytest.mark.parametrize("target", ["ort", "tensorrt-10", "openvino", "qnn"])
def test_raising_families_brings_the_pictures_closer(
    target, residual, residual_table, probes
) -> None:
    inputs = probes(residual)
    options = QuantOptions(rounding="nearest")
    plan = make_plan(residual, residual_table, PROFILES[target], options)
    groups = find_layer_groups(GraphIndex(residual), plan)[0]
    reasons = {node.name: "costs most" for group in groups for node in group.nodes}
    promoted = make_plan(
        residual, residual_table, PROFILES[target], dataclasses.replace(options, promoted=reasons)
    )
    assert promoted.options.promoted == reasons
    before = quantized_parity_db(residual, plan, RoundedWeights(), inputs)
    assert quantized_parity_db(residual, promoted, RoundedWeights(), inputs) > before + 0.1
    if target == "qnn":
        dtypes = {e.dtype for e in promoted.edges.values() if set(e.readers) & set(reasons)}
        assert dtypes == {"uint16"}
    else:
        assert {promoted.kept_float[name] for name in reasons} == {"costs most"}


@pytest.mark.parametrize(
    ("target", "full_integer"), [("qnn-w8a16", False), ("tensorrt", True), ("openvino", True)]
)
def test_a_target_without_anything_higher_says_so(target, full_integer) -> None:
    with pytest.raises(UsageError, match="no precision above"):
        PROFILES[target].higher_precision(full_integer=full_integer)


def test_no_error_is_infinite_parity() -> None:
    assert GroupCost("a", ("a",), 0.0, 1).parity_db == np.inf
