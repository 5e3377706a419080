"""Cuts at named nodes, and segments that run with their constants."""

import numpy as np
import onnx
import pytest

from calib.errors import CalibrationError
from calib.graph import GraphIndex
from calib.runtime import Session
from calib.segments import cut_graph, segment_model

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
chain (float[2,3] input) => (float[2,3] output)
<float[3] one = {1.0, 2.0, 3.0}, float[3] two = {2.0, 2.0, 2.0}> {
    [first] a = Add(input, one)
    [prepare] prepared = Neg(two)
    [second] b = Mul(a, prepared)
    [third] c = Add(b, a)
    [last] output = Neg(c)
}
"""


@pytest.fixture(scope="module")
def index() -> GraphIndex:
    return GraphIndex(onnx.parser.parse_model(TEXT))


def test_constants_stay_with_the_node_they_are_prepared_for(index: GraphIndex) -> None:
    segments = cut_graph(index, ["c"], {"second", "third"})
    names = [[node.name for node in segment.nodes] for segment in segments]
    assert names == [["first"], ["prepare", "second"], ["third"]]
    assert [segment.inputs for segment in segments] == [("input",), ("a",), ("b", "a")]
    assert [segment.outputs for segment in segments] == [("a",), ("b",), ("c",)]


def test_a_cut_at_the_first_node_or_at_none_makes_no_empty_segment(index: GraphIndex) -> None:
    (whole,) = cut_graph(index, ["output"], set())
    assert len(whole.nodes) == 5
    first, rest = cut_graph(index, ["output"], {"first", "last"})
    assert first.nodes[0].name == "first"
    assert [node.name for node in rest.nodes] == ["last"]


def test_a_segment_runs_with_the_constants_prepared_inside_it(index: GraphIndex) -> None:
    _, segment = cut_graph(index, ["b"], {"second"})
    values = np.ones((2, 3), np.float32)
    session = Session(segment_model(index, segment), optimized=False, threads=1)
    np.testing.assert_array_equal(session.run({"a": values})["b"], values * -2.0)


def test_a_tensor_of_another_graph_is_refused(index: GraphIndex) -> None:
    with pytest.raises(CalibrationError, match="'elsewhere'"):
        cut_graph(index, ["elsewhere"], set())
