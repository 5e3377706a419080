"""Convolutions that may saturate: against all products of two 8-bit activations."""

from collections.abc import Sequence

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.graph import GraphIndex
from quant.qdq.saturation import saturable_convolutions
from quant.qdq.view import QdqView

TEXT = """<ir_version: 10, opset_import: ["" : 21]>
g (float[1,%(channels)d,2,2] input) => (float[1,1,2,2] output)
<float s = {0.5}, %(data)s z = {0}, %(weight)s[1,%(channels)d,1,1] codes = {%(codes)s},
 %(weight)s zero = {0}>
{
  [q] a = QuantizeLinear(input, s, z)
  [dq] b = DequantizeLinear(a, s, z)
  [w] weight = DequantizeLinear(codes, s, zero)
  [conv] output = Conv(b, weight)
}
"""


def saturable(codes: Sequence[int], data: str = "uint8", weight: str = "int8") -> bool:
    text = TEXT % {
        "channels": len(codes),
        "codes": ", ".join(map(str, codes)),
        "data": data,
        "weight": weight,
    }
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model, full_check=True)
    found = saturable_convolutions(QdqView(GraphIndex(model)))
    assert found in {(), ("conv",)}
    return bool(found)


def overflows(first: int, second: int) -> bool:
    """Tell whether some two activations of 8 bits have a sum of products beyond 16 bits."""
    sums = [x * first + y * second for x in (0, 255) for y in (0, 255)]  # extreme at corners
    return min(sums) < -(2**15) or max(sums) > 2**15 - 1


codes_of_a_weight = st.integers(-127, 127)


@given(codes_of_a_weight, codes_of_a_weight)
def test_two_neighbours_saturate_where_a_product_sum_leaves_16_bits(first, second) -> None:
    assert saturable([first, second]) is overflows(first, second)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([64, 64], False),
        ([65, 64], True),
        ([-64, -64], False),
        ([-65, -64], True),
        ([127, -127], False),
        ([127, 1], False),
        ([127, 2], True),
        ([1, 127, 127, 1], False),  # neighbours are channels 0 and 1, 2 and 3
        ([1, 1, 127, 127], True),
    ],
)
def test_the_edge_of_16_bits(codes, expected) -> None:
    assert saturable(codes) is expected


@pytest.mark.parametrize(("largest", "expected"), [(64, False), (65, True)])
def test_of_an_odd_number_of_channels_each_code_keeps_to_half(largest, expected) -> None:
    assert saturable([0, largest, 0]) is expected


@pytest.mark.parametrize(
    ("data", "weight", "expected"),
    [
        ("uint8", "int8", True),
        ("int8", "int8", True),
        ("uint16", "int8", False),
        ("int16", "int8", False),
        ("uint8", "uint8", False),
        ("uint8", "int16", False),
    ],
)
def test_only_kernels_of_8_bit_activations_and_int8_weights_are_meant(
    data, weight, expected
) -> None:
    assert saturable([127, 127], data, weight) is expected


def test_our_own_files_saturate_only_where_the_limit_was_lifted(emitted) -> None:
    view = QdqView(GraphIndex(emitted("ort")))
    assert saturable_convolutions(view) == ()
    lifted = emitted("ort", {"accumulator_bits": 32})
    assert "conv1" in saturable_convolutions(QdqView(GraphIndex(lifted)))
