"""A plan that names what the graph has not is refused before anybody follows it."""

from collections.abc import Callable
from dataclasses import replace

import onnx
import pytest

from calib.errors import GraphError
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.passes.prepared import prepare
from quant.plan import QuantOptions, QuantPlan
from quant.targets import PROFILES
from tests.quant.by_model import make_plan, with_zero_points_apart

Spoil = Callable[[QuantPlan], QuantPlan]


def of_edge(**changes: object) -> Spoil:
    """Change the edge of the tensor ``feat``."""
    return lambda plan: replace(
        plan, edges={**plan.edges, "feat": replace(plan.edges["feat"], **changes)}
    )


def of_weight(**changes: object) -> Spoil:
    """Change the weight ``w1``."""
    return lambda plan: replace(
        plan, weights={**plan.weights, "w1": replace(plan.weights["w1"], **changes)}
    )


@pytest.fixture
def planned(residual: onnx.ModelProto, residual_table: CalibrationTable) -> QuantPlan:
    return make_plan(residual, residual_table, PROFILES["qnn"], QuantOptions())


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_what_the_planner_makes_fits(
    target: str, residual: onnx.ModelProto, residual_table: CalibrationTable
) -> None:
    plan = make_plan(residual, residual_table, PROFILES[target], QuantOptions())
    assert prepare(GraphIndex(residual), plan).plan == plan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_edge(tensor="fate"), "edges has no tensor 'fate' to quantize for 'feat'"),
        (of_edge(after="fate"), "edges has no 'fate' for 'feat' to come after"),
        (of_edge(readers=("last",)), "'last' does not read 'feat', as edges has it of 'feat'"),
        (of_edge(readers=("<graph output>",)), "'<graph output>' does not read 'feat'"),
        (of_edge(readers=()), "edges has none through which 'conv1' reads 'feat'"),
        (of_weight(node="last"), "weights has 'w1', which is no weight of 'last'"),
        (of_weight(scales=(1.0,)), "weights has 1 scales of 'w1', expected 2"),
        (
            lambda plan: replace(plan, weights={**plan.weights, "v": plan.weights["w1"]}),
            "weights has 'v', which is no weight of 'conv1'",
        ),
    ],
)
def test_what_it_names_has_to_be_there(
    spoil: Spoil, message: str, planned: QuantPlan, residual: onnx.ModelProto
) -> None:
    with pytest.raises(GraphError) as refused:
        prepare(GraphIndex(residual), spoil(planned))
    assert message in str(refused.value)


def unread(plan: QuantPlan) -> QuantPlan:
    kept = {name: edge for name, edge in plan.edges.items() if name != "x1"}
    return replace(plan, edges=kept)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda plan: replace(plan, zero_points_apart=("cat", "conv1")),
            "zero_points_apart has 'conv1', which is no Concat that biases make up for",
        ),
        (
            lambda plan: replace(plan, zero_points_apart=("dog",)),
            "zero_points_apart has 'dog', which is no Concat that biases make up for",
        ),
        (
            lambda plan: replace(
                plan,
                edges={**plan.edges, "x1": replace(plan.edges["x1"], scale=1.0)},
            ),
            "zero_points_apart has 'cat', and edges no one scale around it",
        ),
        (unread, "zero_points_apart has 'cat', and edges no one scale around it"),
        (
            lambda plan: replace(
                plan, weights={**plan.weights, "w2": replace(plan.weights["w2"], bias=None)}
            ),
            "zero_points_apart has 'cat', which 'conv2' does not make up for",
        ),
    ],
)
def test_only_what_makes_up_for_zero_points_has_them_apart(
    spoil: Spoil, message: str, residual: onnx.ModelProto, residual_table: CalibrationTable
) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    plan = with_zero_points_apart(plan)
    assert prepare(GraphIndex(residual), plan).plan == plan
    with pytest.raises(GraphError) as refused:
        prepare(GraphIndex(residual), spoil(plan))
    assert message in str(refused.value)
