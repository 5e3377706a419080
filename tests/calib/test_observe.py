"""Running a graph in segments: the same values as in one piece, in any segmentation."""

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from calib.errors import CalibrationError, GraphError
from calib.graph import GraphIndex
from calib.observe import SegmentedGraph, observe
from calib.runtime import Session
from calib.segments import BUDGET_BYTES, Segment, split_graph
from calib.statistics import TensorStatistics

WANTED = ("input", "act1", "act2", "joined", "trunk", "output")
PLANE_BYTES = 4 * 128 * 128


@pytest.fixture(scope="module")
def feeds() -> dict[str, np.ndarray]:
    picture = np.random.default_rng(3).random((1, 3, 128, 128), dtype=np.float32)
    return {"input": picture}


def run(graph: SegmentedGraph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for appeared in graph.run(feeds) for name, array in appeared.items()}


def in_one_piece(
    model: onnx.ModelProto, names: Sequence[str], feeds: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Every tensor as an output of the whole graph, computed node by node."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    return Session(copy, optimized=False).run(feeds, names)


@pytest.mark.parametrize("budget_bytes", [1, 12 * PLANE_BYTES, BUDGET_BYTES])
def test_segments_compute_what_the_whole_graph_does(
    dense_block: onnx.ModelProto, feeds: dict[str, np.ndarray], budget_bytes: int
) -> None:
    expected = in_one_piece(dense_block, WANTED[1:], feeds) | feeds
    exact = SegmentedGraph(dense_block, WANTED, budget_bytes=budget_bytes, optimized=False)
    found = run(exact, feeds)
    assert sorted(found) == sorted(WANTED)
    for name in WANTED:
        np.testing.assert_array_equal(found[name], expected[name])
    fused = run(SegmentedGraph(dense_block, WANTED, budget_bytes=budget_bytes), feeds)
    for name in WANTED:
        np.testing.assert_allclose(fused[name], expected[name], rtol=0, atol=1e-5)


def test_threads_do_not_change_a_bit(
    dense_block: onnx.ModelProto, feeds: dict[str, np.ndarray]
) -> None:
    one = run(SegmentedGraph(dense_block, WANTED, threads=1), feeds)
    two = run(SegmentedGraph(dense_block, WANTED, threads=2), feeds)
    for name in WANTED:
        np.testing.assert_array_equal(one[name], two[name])


def test_segments_cover_the_graph_once_and_keep_the_budget(dense_block: onnx.ModelProto) -> None:
    index = GraphIndex(dense_block)
    budget_bytes = 12 * PLANE_BYTES
    segments = split_graph(index, WANTED, budget_bytes)
    assert len(segments) > 1
    assert [node for segment in segments for node in segment.nodes] == list(index.nodes)
    for segment in segments:
        size_bytes = sum(map(index.size_bytes, segment.outputs))
        assert len(segment.outputs) == 1 or size_bytes <= budget_bytes
    made = {"input"}
    for segment in segments:
        assert made.issuperset(segment.inputs)
        made.update(segment.outputs)
    assert made.issuperset(WANTED)


def test_one_segment_where_the_budget_allows_it(dense_block: onnx.ModelProto) -> None:
    (segment,) = split_graph(GraphIndex(dense_block), WANTED)
    assert segment.inputs == ("input",)
    assert set(segment.outputs) == set(WANTED) - {"input"}


def test_nodes_that_no_wanted_tensor_needs_do_not_run(dense_block: onnx.ModelProto) -> None:
    segments = split_graph(GraphIndex(dense_block), ["act1"])
    assert [s.nodes[-1].output[0] for s in segments] == ["act1"]
    assert sum(len(s.nodes) for s in segments) == 3


def test_cuts_fall_where_little_is_alive() -> None:
    """Between two blocks one tensor is alive, inside a block three are."""
    block = "{o}1 = Relu({i}) {o}2 = Neg({i}) {o}3 = Abs({i}) {o}12 = Add({o}1, {o}2) "
    block += "{o} = Add({o}12, {o}3) "
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[1,64,64,64] a) => '
    text += "(float[1,64,64,64] c) { " + block.format(i="a", o="b") + block.format(i="b", o="c")
    index = GraphIndex(onnx.parser.parse_model(text + "}"))
    wanted = [name for node in index.nodes for name in node.output]
    segments = split_graph(index, wanted, 5 * index.size_bytes("a"))
    assert [(s.inputs, s.outputs[-1]) for s in segments] == [(("a",), "b"), (("b",), "c")]


def test_a_node_of_several_large_outputs_still_runs(feeds: dict[str, np.ndarray]) -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[1,3,128,128] input) => (float[1,1,128,128] r) <int64[3] sizes = {1, 1, 1}> {
        r, g, b = Split<axis = 1>(input, sizes)
    }"""
    found = run(
        SegmentedGraph(onnx.parser.parse_model(text), ["r", "g", "b"], budget_bytes=1), feeds
    )
    for channel, name in enumerate("rgb"):
        np.testing.assert_array_equal(found[name][0, 0], feeds["input"][0, channel])


def test_constant_nodes_reach_every_segment(feeds: dict[str, np.ndarray]) -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[1,3,128,128] input) => (float[1,3,128,128] c) {
        half = Constant<value_float = 0.5>()
        a = Mul(input, half)
        b = Mul(a, half)
        c = Mul(b, half)
    }"""
    found = run(
        SegmentedGraph(onnx.parser.parse_model(text), ["a", "b", "c"], budget_bytes=1), feeds
    )
    np.testing.assert_array_equal(found["c"], feeds["input"] / 8)


def test_arrays_are_dropped_when_no_segment_reads_them(
    dense_block: onnx.ModelProto, feeds: dict[str, np.ndarray]
) -> None:
    alive: list[int] = []
    seen: list[Any] = []
    graph = SegmentedGraph(dense_block, WANTED[1:], budget_bytes=1)
    for appeared in graph.run(feeds):
        seen += [weakref.ref(array) for array in appeared.values()]
        appeared.clear()
        alive.append(sum(ref() is not None for ref in seen))
    assert len(seen) == len(WANTED) - 1
    # head is no wanted tensor; of the wanted ones at most act1 and act2 wait for a reader.
    assert max(alive) <= 2
    assert alive[-1] == 0


def test_statistics_are_those_of_the_tensors(
    dense_block: onnx.ModelProto, feeds: dict[str, np.ndarray]
) -> None:
    graph = SegmentedGraph(dense_block, WANTED)
    tensors = run(graph, feeds)
    found = observe(graph, feeds, source="noise", threads=2)
    assert list(found) == list(WANTED)
    for name in WANTED:
        expected = TensorStatistics.of(tensors[name])
        assert found[name].histogram.counts.tobytes() == expected.histogram.counts.tobytes()
        np.testing.assert_array_equal(found[name].channel_mean_sum, expected.channel_mean_sum)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_is_named(dense_block: onnx.ModelProto, value: float) -> None:
    spoiled = np.zeros((1, 3, 128, 128), np.float32)
    spoiled[0, 0, 5, 5] = value
    graph = SegmentedGraph(dense_block, ["act1"])
    with pytest.raises(CalibrationError, match=r"'act1' on image 'bad\.png': found \d+ NaN"):
        observe(graph, {"input": spoiled}, source="bad.png")


def test_wanting_nothing_or_another_graphs_tensor_is_refused(
    dense_block: onnx.ModelProto,
) -> None:
    with pytest.raises(CalibrationError, match="no tensors"):
        SegmentedGraph(dense_block, [])
    with pytest.raises(CalibrationError, match=r"'ghost' \(1 in all\) is not in the graph"):
        SegmentedGraph(dense_block, ["act1", "ghost"])


def test_dynamic_graphs_are_refused() -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[1,n] x) => (float[1,n] y)'
    model = onnx.parser.parse_model(f"{text} {{ y = Relu(x) }}")
    with pytest.raises(GraphError, match="static shape"):
        SegmentedGraph(model, ["y"])


def test_segments_are_values(dense_block: onnx.ModelProto) -> None:
    index = GraphIndex(dense_block)
    first, second = split_graph(index, WANTED), split_graph(index, WANTED)
    assert first == second
    assert all(isinstance(segment, Segment) for segment in first)
