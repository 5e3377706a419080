"""A QDQ graph of fp16 scales is computed in float32 where it is judged, however it is given."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser

from calib.errors import GraphError
from calib.observe import SegmentedGraph
from calib.runtime import Session
from calib.widen import in_float32, reference_graph

TYPED = """<ir_version: 9, opset_import: ["" : 19]>
g (float[1,2,6,6] input) => (float[1,2,6,6] output)
{
  [in] h = Cast<to = 10>(input)
  [turn] t = Transpose<perm = [0, 1, 3, 2]>(h)
  [q] codes = QuantizeLinear(t, s, z)
  [dq] v = DequantizeLinear(codes, s, z)
  [add] w = Add(v, b)
  [mul] m = Mul(w, c)
  [out] output = Cast<to = 1>(m)
}"""
HALF = """<ir_version: 9, opset_import: ["" : 19]>
g (float[1,2,6,6] input) => (float[1,2,6,6] output)
{
  h = Cast<to = 10>(input)
  w = Add(h, b)
  output = Cast<to = 1>(w)
}"""
CONSTANTS = {
    "s": np.float16(0.0078735), "z": np.int8(0), "b": np.float16(0.1), "c": np.float16(3.0),
}  # fmt: skip
PICTURE = np.random.default_rng(0).random((1, 2, 6, 6), np.float32)


def parsed(text: str) -> onnx.ModelProto:
    """Return a graph of the constants above: text has none of fp16."""
    model = parser.parse_model(text)
    read = {name for node in model.graph.node for name in node.input}
    for name in sorted(read & {*CONSTANTS}):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(CONSTANTS[name]), name))
    return model


@pytest.fixture
def typed() -> onnx.ModelProto:
    return parsed(TYPED)


def drawn(model: onnx.ModelProto | bytes | Path) -> np.ndarray:
    return Session(model, optimized=False).run({"input": PICTURE})["output"]


def test_it_means_the_numbers_that_it_holds(typed: onnx.ModelProto) -> None:
    scale, shift = np.float32(np.float16(0.0078735)), np.float32(np.float16(0.1))
    steps = np.rint(PICTURE.transpose(0, 1, 3, 2) / scale).clip(-128, 127)
    np.testing.assert_array_equal(drawn(typed), (steps * scale + shift) * np.float32(3.0))


def test_a_file_and_its_bytes_mean_the_same(typed: onnx.ModelProto, tmp_path: Path) -> None:
    content = typed.SerializeToString()
    (tmp_path / "typed.onnx").write_bytes(content)
    expected = drawn(typed)
    np.testing.assert_array_equal(drawn(content), expected)
    np.testing.assert_array_equal(drawn(tmp_path / "typed.onnx"), expected)


def test_cut_in_segments_it_means_the_same(typed: onnx.ModelProto) -> None:
    graph = SegmentedGraph(typed, ("v", "w", "output"), budget_bytes=1, optimized=False)
    found: dict[str, np.ndarray] = {}
    for made in graph.run({"input": PICTURE}):
        found.update(made)
    np.testing.assert_array_equal(found["output"], drawn(typed))
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_other_graphs_are_left_as_they_are(typed: onnx.ModelProto) -> None:
    wide = in_float32(typed)
    assert reference_graph(wide) is wide
    half = parsed(HALF)
    assert reference_graph(half) is half
    types = {tensor.data_type for tensor in reference_graph(typed).graph.initializer}
    assert types == {TensorProto.FLOAT, TensorProto.INT8}


def test_what_cannot_be_read_is_onnxruntimes_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08no model")
    for source in (b"\x08no model", tmp_path / "broken.onnx", tmp_path / "absent.onnx"):
        with pytest.raises(GraphError, match="onnxruntime cannot load the graph"):
            Session(source, optimized=False)
