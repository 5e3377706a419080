"""Sampled columns against the convolution that reads them."""

import numpy as np
import onnx
import pytest

from calib.errors import GraphError
from calib.runtime import Session
from quant.numerics.im2col import Window


def convolution(values: np.ndarray, weight: np.ndarray, **attributes: object) -> np.ndarray:
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], "conv", **attributes)
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.helper.make_tensor_value_info("x", kind, values.shape)],
        [onnx.helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    return Session(model, optimized=False, threads=1).run({"x": values})["y"]


@pytest.mark.parametrize(
    ("kernel", "attributes"),
    [
        ((3, 3), {"pads": [1, 1, 1, 1]}),
        ((1, 1), {}),
        ((3, 3), {}),
        ((5, 3), {"pads": [2, 0, 1, 1]}),
        ((3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 3]}),
        ((3, 2), {"pads": [0, 2, 2, 0], "dilations": [2, 1]}),
    ],
)
def test_weight_times_all_columns_is_the_convolution(kernel, attributes) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((1, 3, 9, 11), dtype=np.float32)
    weight = rng.standard_normal((4, 3, *kernel), dtype=np.float32)
    expected = convolution(values, weight, **attributes)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], "conv", **attributes)
    window = Window.of(node, kernel)
    positions = int(np.prod(window.positions(9, 11)))
    assert positions == expected[0, 0].size
    order = window.draw(9, 11, 10**6, np.random.default_rng(5))
    assert len(order) == positions
    columns = window.columns(values, order)
    found = weight.reshape(4, -1) @ columns
    np.testing.assert_allclose(found, expected.reshape(4, -1)[:, order], rtol=1e-4, atol=1e-5)


def test_a_sample_holds_distinct_positions_of_its_seed() -> None:
    values = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
    window = Window((1, 1))
    drawn = window.draw(8, 8, 20, np.random.default_rng(1))
    first = window.columns(values, drawn)
    assert first.shape == (1, 20)
    assert len(np.unique(first)) == 20
    np.testing.assert_array_equal(first[0], values.reshape(-1)[drawn])
    np.testing.assert_array_equal(drawn, window.draw(8, 8, 20, np.random.default_rng(1)))
    assert not np.array_equal(drawn, window.draw(8, 8, 20, np.random.default_rng(2)))


@pytest.mark.parametrize(
    ("kernel", "attributes", "message"),
    [
        ((3, 3), {"group": 4}, "4 groups"),
        ((3, 3), {"auto_pad": "SAME_UPPER"}, "stated pads"),
        ((3,), {}, "two-dimensional"),
    ],
)
def test_what_cannot_be_sampled_is_refused(kernel, attributes, message) -> None:
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], "conv", **attributes)
    with pytest.raises(GraphError, match=message):
        Window.of(node, kernel)
