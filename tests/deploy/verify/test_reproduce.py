from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest
from deploy.verify.contents import open_build
from deploy.verify.reproduce import model_differences, reproduce
from quant.passes.prepared import PreparedGraph

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
generator (float[1,3,4,4] input) => (float[1,3,4,4] output)
<float[1] scale = {0.25}, float[3] slopes = {0.1, 0.2, 0.3}> {
    [first] scaled = Mul(input, scale)
    [second] output = LeakyRelu<alpha = 0.2>(scaled)
}
"""


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "scale = {0.25}",
            "scale = {0.5}",
            "tensor scale differs in 1 of 1 values, the first is 0.5, expected 0.25",
        ),
        (
            "{0.1, 0.2, 0.3}",
            "{0.1, 0.2, 0.4}",
            "tensor slopes differs in 1 of 3 values",
        ),
        ("float[3] slopes = {0.1, 0.2, 0.3}", "float[1] slopes = {0.1}", "tensor slopes is"),
        ("alpha = 0.2", "alpha = 0.1", "node second is missing or differs"),
        ("[second]", "[third]", "node second is missing or differs"),
    ],
    ids=["scale", "one of many", "shape", "attribute", "renamed"],
)
def test_a_difference_is_named(old: str, new: str, line: str) -> None:
    lines = model_differences(parsed(TEXT), parsed(TEXT.replace(old, new)))
    assert any(line in found for found in lines), lines


def test_a_difference_outside_the_graph_is_still_a_difference() -> None:
    other = parsed(TEXT)
    other.producer_name = "somebody else"
    assert model_differences(parsed(TEXT), other) == [
        "its serialization differs outside nodes and initializers"
    ]


@pytest.fixture
def planned(small_build: Path) -> dict[str, PreparedGraph]:
    """The graph under the plan of its int8 file, as a verification makes it."""
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    return dict(reproduce(build).prepared)


def other_edge(made: PreparedGraph) -> PreparedGraph:
    """The same with one scale of its plan changed."""
    edges = dict(made.plan.edges)
    key = next(iter(edges))
    edges[key] = replace(edges[key], scale=edges[key].scale * 2)
    return replace(made, plan=replace(made.plan, edges=edges))


def of_another_table(made: PreparedGraph) -> PreparedGraph:
    """The same changed plan, made of a table that is not the build's."""
    made = other_edge(made)
    return replace(made, plan=replace(made.plan, table_digest="0" * 64))


@pytest.mark.parametrize(
    ("changed", "holds"),
    [(lambda made: made, True), (other_edge, False), (of_another_table, True)],
    ids=["the one in the file", "another one", "of another table, so made again"],
)
def test_a_file_is_held_against_the_plan_it_was_made_from(
    changed: Callable[[PreparedGraph], PreparedGraph],
    holds: bool,
    small_build: Path,
    planned: dict[str, PreparedGraph],
) -> None:
    build = open_build(small_build, read_manifest(small_build / MANIFEST_NAME)).build
    checks = reproduce(build, {file: changed(made) for file, made in planned.items()}).checks
    of_plan = [check.status for check in checks if check.name in {"plan", "derivation"}]
    assert ("failed" not in of_plan) == holds
    assert len(of_plan) >= 2
