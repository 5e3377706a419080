"""A Concat of channels is one, whichever end its axis is counted from."""

from dataclasses import replace

import onnx
import pytest

from calib.graph import GraphIndex, network_digest
from calib.table import CalibrationTable
from quant.analysis.concats import joined, joins_channels
from quant.plan import QuantOptions
from quant.qdq.rules import check_rules
from quant.refinement.operators import require_refinable
from quant.targets import PROFILES
from tests.quant.by_model import emit_qdq, make_plan

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'


@pytest.mark.parametrize(
    ("concat", "sources"),
    [
        ("Concat<axis=1>(input, a, input)", ("input", "a", "input")),
        ("Concat<axis=-3>(a, input)", ("a", "input")),
        ("Concat<axis=2>(a, input)", ("b",)),
        ("Concat<axis=0>(a, input)", ("b",)),
        ("Add(a, input)", ("b",)),
    ],
    ids=["channels", "counted from behind", "rows", "pictures", "no Concat"],
)
def test_only_a_concat_of_channels_is_looked_through(concat, sources, parsed) -> None:
    model = parsed(
        HEADER
        + f"""g (float[1,2,6,6] input) => (float[A,B,C,D] output) <float[2,2,1,1] w>
        {{
          [one] a = Conv(input, w)
          [cat] b = {concat}
          [end] output = Identity(b)
        }}"""
    )
    index = GraphIndex(model)
    assert joined(index, "b") == sources
    joins = [node.name for node in index.nodes if joins_channels(index, node)]
    assert joins == ([] if sources == ("b",) else ["cat"])


@pytest.fixture(scope="module")
def from_behind(residual: onnx.ModelProto) -> onnx.ModelProto:
    """The residual graph, each axis of a Concat counted from the last."""
    model = onnx.ModelProto()
    model.CopyFrom(residual)
    found = [node for node in model.graph.node if node.op_type == "Concat"]
    assert found
    for node in found:
        del node.attribute[:]
        node.attribute.append(onnx.helper.make_attribute("axis", -3))
    return model


@pytest.mark.parametrize("options", [{}, {"full_integer": True}], ids=["", "full-integer"])
@pytest.mark.parametrize("target", PROFILES)
def test_a_plan_is_the_same_whichever_end_an_axis_is_counted_from(
    target: str,
    options: dict,
    residual: onnx.ModelProto,
    residual_table: CalibrationTable,
    from_behind: onnx.ModelProto,
) -> None:
    profile, asked = PROFILES[target], QuantOptions(**options)
    table = replace(residual_table, network_digest=network_digest(from_behind))
    expected = make_plan(residual, residual_table, profile, asked)
    plan = make_plan(from_behind, table, profile, asked)
    same = {"network_digest": plan.network_digest, "table_digest": plan.table_digest}
    assert plan == replace(expected, **same)
    assert check_rules(emit_qdq(from_behind, plan), profile) == ()


def test_a_network_can_be_refined_whichever_end_an_axis_is_counted_from(
    from_behind: onnx.ModelProto,
) -> None:
    require_refinable(GraphIndex(from_behind))
