"""How much of a file computes in integers: convolutions and products, counted by hand."""

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from quant.qdq.int8_share import Int8Share, int8_share
from quant.qdq.view import QdqView

# A float convolution of 3x3, and behind it one of 1x1 between pairs, or of integer operators.
TEXT = """<ir_version: 10, opset_import: ["" : 21]>
g (float[1,2,4,4] input) => (float[1,3,4,4] output)
<float s = {0.5}, %(data)s z = {0}, float[5,2,3,3] first, int8[3,5,1,1] codes, int8 zero = {0}>
{
  [float_conv] a = Conv<pads = [1,1,1,1]>(input, first)
  [q] b = QuantizeLinear(a, s, z)
  %(second)s
}
"""
PAIRS = """[dq] c = DequantizeLinear(b, s, z)
  [w] weight = DequantizeLinear(codes, s, zero)
  [%s] output = Conv(c, weight)"""
QLINEAR = """[conv] c = QLinearConv(b, s, z, codes, s, zero, s, z)
  [dq] output = DequantizeLinear(c, s, z)"""
FIRST_MACS, SECOND_MACS = 16 * 5 * 2 * 9, 16 * 3 * 5


def share_of(second: str, data: str = "uint8") -> Int8Share:
    model = onnx.parser.parse_model(TEXT % {"second": second, "data": data})
    shapes = {"first": (5, 2, 3, 3), "codes": (3, 5, 1, 1)}
    for name, dtype in (("first", np.float32), ("codes", np.int8)):
        array = np.ones(shapes[name], dtype)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return int8_share(QdqView(GraphIndex(model)))


@pytest.mark.parametrize(
    ("second", "data", "integer", "wide"),
    [
        (PAIRS % "conv", "uint8", ("conv",), ()),
        (PAIRS % "conv", "int8", ("conv",), ()),
        (PAIRS % "conv", "uint16", ("conv",), ("conv",)),
        (QLINEAR, "uint8", ("conv",), ()),
    ],
    ids=["U8S8", "S8S8", "16-bit activations", "integer operators"],
)
def test_what_is_computed_in_integers_is_counted(
    second: str, data: str, integer: tuple[str, ...], wide: tuple[str, ...]
) -> None:
    share = share_of(second, data)
    wide_macs = SECOND_MACS if wide else 0
    assert share == Int8Share(
        ("float_conv", "conv"), integer, wide, FIRST_MACS + SECOND_MACS, SECOND_MACS, wide_macs
    )
    assert share.macs_in_8_bits == SECOND_MACS - wide_macs
    assert str(share).startswith("1 of 2 convolutions in int8")


def test_only_the_weight_quantized_is_a_float_convolution() -> None:
    share = share_of(
        """[w] weight = DequantizeLinear(codes, s, zero)
        [conv] output = Conv(a, weight)"""
    )
    assert share.integer == ()
    assert share.integer_macs == 0


def test_nodes_without_a_name_are_told_apart() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[1,1,4,4] input) => (float[1,1,4,4] output) <float[1,1,1,1] w = {2.0},
          float s = {0.5}, uint8 z = {0}, int8[1,1,1,1] codes = {1}, int8 zero = {0}>
        {
          a = Conv(input, w)
          b = QuantizeLinear(a, s, z)
          c = DequantizeLinear(b, s, z)
          weight = DequantizeLinear(codes, s, zero)
          output = Conv(c, weight)
        }"""
    )
    share = int8_share(QdqView(GraphIndex(model)))
    assert share.convolutions == ("a", "output")
    assert share.integer == ("output",)


def test_without_static_shapes_products_are_not_counted() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[1,1,H,W] input) => (float[1,1,H,W] output) <float[1,1,1,1] w = {2.0}>
        { [conv] output = Conv(input, w) }"""
    )
    share = int8_share(QdqView(GraphIndex(model)))
    assert (share.convolutions, share.macs) == (("conv",), 0)
