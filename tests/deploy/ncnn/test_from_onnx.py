"""Operators of an ONNX graph as ncnn spells them."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from deploy.ncnn.from_onnx import ncnn_layers


def joined(axis: int) -> onnx.ModelProto:
    """Return a network that joins a picture and a convolution of it along an axis."""
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 17]>
        joined (float[1,3,6,6] input) => (float[1,A,B,C] output)
        {{
          [conv] a = Conv<pads=[1,1,1,1]>(input, w, b)
          [cat] output = Concat<axis={axis}>(input, a)
        }}""")
    weight = np.linspace(-1.0, 1.0, 81, dtype=np.float32).reshape(3, 3, 3, 3)
    bias = np.zeros(3, np.float32)
    held = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    model.graph.initializer.extend(held)
    return model


def test_channels_are_joined_whichever_end_their_axis_is_counted_from() -> None:
    expected, found = (ncnn_layers(joined(axis)) for axis in (1, -3))
    assert str(found) == str(expected)
    assert "Concat" in {layer.kind for layer in found}


@pytest.mark.parametrize("axis", [2, -1])
def test_rows_and_columns_are_not_joined(axis: int) -> None:
    with pytest.raises(GraphError, match="join channels"):
        ncnn_layers(joined(axis))
