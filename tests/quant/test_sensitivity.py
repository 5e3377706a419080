"""What a group costs alone, what the costs predict, and what raising one does."""

import dataclasses
import math

import numpy as np
import pytest

from calib.errors import UsageError
from calib.graph import GraphIndex
from calib.records import encode
from quant.analysis.layer_groups import find_layer_groups
from quant.plan import QuantOptions
from quant.qdq.int8_weights import RoundedWeights
from quant.sensitivity import (
    GroupCost,
    Sensitivity,
    SensitivityFile,
    restricted,
)
from quant.targets import PROFILES
from tests.quant.by_model import (
    emit_qdq,
    equalized_model,
    make_plan,
    measure_sensitivity,
    quantized_parity_db,
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
    if plan.target != "qnn":  # there the additions between the groups are quantized too
        assert 0.5 < total / measured.squared_error < 2.0
    assert measured.parity_db == pytest.approx(
        quantized_parity_db(residual, plan, RoundedWeights(), probes(residual)), abs=1e-6
    )
    path = tmp_path / "sensitivity.json"
    path.write_bytes(encode(SensitivityFile("0" * 64, measured)))
    assert SensitivityFile.read(path).measured == measured


def test_the_most_costly_come_first_and_no_more_than_needed() -> None:
    costs = {"a": 1e-4, "b": 4e-4, "c": 2e-4}
    groups = tuple(GroupCost(name, (name,), error) for name, error in costs.items())
    measured = Sensitivity(groups, 7e-4, 2)

    def chosen(parity_db: float) -> list[str]:
        return [group.name for group in measured.most_costly_until(parity_db)]

    assert chosen(measured.parity_db) == []
    assert chosen(-10 * math.log10(3.1e-4)) == ["b"]
    assert chosen(-10 * math.log10(1.1e-4)) == ["b", "c"]
    assert chosen(100.0) == ["b", "c", "a"]


@pytest.mark.parametrize("target", ["ort", "tensorrt", "openvino", "qnn"])
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
    assert GroupCost("a", ("a",), 0.0).parity_db == np.inf
