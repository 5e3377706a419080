"""Another batch of a graph: the same network, drawing each picture as alone; else refused."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import network_digest
from calib.runtime import Session
from quant.passes.rebatch import with_batch

ENDS = '<ir_version: 8, opset_import: ["": 17]> g (float[1,2,4,4] x) => (float[1,8,2,2] y)'


def reshaping(first: int, last: int = 2) -> onnx.ModelProto:
    """Return a pixel-unshuffle as torch exports it."""
    return onnx.parser.parse_model(f"""{ENDS}
        <int64[6] apart = {{{first}, 2, 2, 2, 2, 2}}, int64[4] joined = {{{first}, 8, 2, {last}}}>
        {{ [a] p = Reshape(x, apart)
           [t] q = Transpose<perm = [0, 1, 3, 5, 2, 4]>(p)
           [j] y = Reshape(q, joined) }}""")


@pytest.mark.parametrize("first", [1, 0, -1])
def test_a_batch_draws_each_picture_as_alone(first: int) -> None:
    model = reshaping(first)
    made = with_batch(model, 3)
    onnx.checker.check_model(made, full_check=True)
    assert network_digest(made) == network_digest(model)
    pictures = np.random.default_rng(0).random((3, 2, 4, 4), np.float32)
    (drawn,) = Session(made, optimized=False).run({"x": pictures}).values()
    alone = Session(model, optimized=False)
    expected = [alone.run({"x": picture[np.newaxis]})["y"] for picture in pictures]
    np.testing.assert_array_equal(drawn, np.concatenate(expected))
    again = with_batch(made, 1)
    assert again.graph.input == model.graph.input
    assert again.graph.output == model.graph.output
    for one, two in zip(again.graph.initializer, model.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(one), numpy_helper.to_array(two))


def test_the_same_batch_is_the_same_model() -> None:
    model = reshaping(1)
    assert with_batch(model, 1) is model


def test_a_reshape_across_pictures_is_refused() -> None:
    model = reshaping(2, last=1)
    with pytest.raises(GraphError, match="not by picture"):
        with_batch(model, 3)


def test_ends_of_two_batches_are_refused() -> None:
    model = reshaping(1)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(GraphError, match="expected one number"):
        with_batch(model, 3)
