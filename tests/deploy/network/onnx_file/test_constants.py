"""What no picture enters is computed once, in whatever type; the picture stays the same."""

import numpy as np
import onnx
import pytest

from calib.runtime import Session
from deploy.network.onnx_file.constants import with_constants_computed
from deploy.network.onnx_file.export import in_our_form
from tests.deploy.onnx_files import small_model

ENDS = "g (float[1,3,4,4] x) => (float[1,3,4,4] y)"
GRAPHS = {
    "a mask of places": f"""{ENDS}
    <int64[4] side = {{4, 4, 4, 4}}, int64 zero = {{0}}, int64 four = {{4}}, int64 one = {{1}},
     int64 two = {{2}}, float off = {{-9.0}}, float on = {{0.5}}>
    {{
      place = Range(zero, four, one)
      half = Div(place, two)
      inside = Equal(half, one)
      mask = Where(inside, off, on)
      y = Add(x, mask)
    }}""",
    "updates of nothing": f"""{ENDS}
    <float[2,3] table = {{1,2,3,4,5,6}}, int64[0,1] places, float[0,3] values,
     int64[1] at = {{1}}, int64[4] shape = {{1,3,1,1}}>
    {{
      same = ScatterND(table, places, values)
      row = Gather(same, at)
      factor = Reshape(row, shape)
      y = Mul(x, factor)
    }}""",
}


def model_of(text: str) -> onnx.ModelProto:
    model = small_model(text)
    held = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.value_info:  # declared without a value: of no elements
        if value.name not in held:
            kind = value.type.tensor_type
            shape = [dim.dim_value for dim in kind.shape.dim]
            empty = np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
            assert not empty.size
            model.graph.initializer.append(onnx.numpy_helper.from_array(empty, value.name))
    del model.graph.value_info[:]
    return model


def drawn(model: onnx.ModelProto, name: str) -> np.ndarray:
    picture = np.random.default_rng(0).random((1, 3, 4, 4), np.float32)
    return next(iter(Session(model, optimized=False).run({name: picture}).values()))


@pytest.mark.parametrize("graph", GRAPHS)
def test_what_no_picture_enters_becomes_constants(graph) -> None:
    model = model_of(GRAPHS[graph])
    before = model.SerializeToString()
    computed = with_constants_computed(model)
    assert model.SerializeToString() == before
    assert len(computed.graph.node) == 1
    onnx.checker.check_model(computed, full_check=True)
    np.testing.assert_array_equal(drawn(computed, "x"), drawn(model, "x"))
    ours = in_our_form(model, (1, 3, 4, 4), "file")
    np.testing.assert_array_equal(drawn(ours, "input"), drawn(model, "x"))


@pytest.mark.parametrize(
    "nodes",
    ["y = Relu(x)", "noise = RandomNormal<shape=[1,3,4,4]>() y = Add(x, noise)"],
    ids=["nothing", "drawn by lot"],
)
def test_a_graph_without_such_nodes_is_the_same_one(nodes) -> None:
    model = small_model(f"{ENDS} {{ {nodes} }}")
    assert with_constants_computed(model) is model
