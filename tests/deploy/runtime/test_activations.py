"""The memory of activations: what is alive together, and nothing for what runs in place."""

import onnx
import pytest

from deploy.runtime.activations import peak_activation_bytes

HEAD = '<ir_version: 8, opset_import: ["" : 17]> graph (float[1,3,8,8] x) => (float[1,3,8,8] y) '
TENSOR = 4 * 3 * 8 * 8


@pytest.mark.parametrize(
    ("body", "tensors"),
    [
        ("{ a = Relu(x) y = Neg(a) }", 2),
        ("{ a = Neg(x) b = Relu(a) c = LeakyRelu(b) y = Neg(c) }", 2),
        ("{ a = Neg(x) b = Neg(a) c = Neg(b) y = Add(x, c) }", 3),
        ("{ a = Concat<axis=1>(x, x) b = Neg(a) y = Slice_(b) }", 4),
    ],
    ids=["in place", "a chain in place", "a skip", "concatenated"],
)
def test_what_is_alive_together_is_counted(body: str, tensors: int) -> None:
    body = body.replace("y = Slice_(b)", "c, y = Split<axis=1, num_outputs=2>(b)")
    text = (HEAD + body).replace("17", "18")
    assert peak_activation_bytes(onnx.parser.parse_model(text)) == tensors * TENSOR


def test_padded_integers_take_a_byte_each() -> None:
    body = """<float s = {0.1}, uint8 z = {0}, int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}>
    { a = QuantizeLinear(x, s, z) b = Pad(a, p, z) c = DequantizeLinear(b, s, z)
      y = MaxPool<kernel_shape=[3,3]>(c) }"""
    assert peak_activation_bytes(onnx.parser.parse_model(HEAD + body)) == 3 * 10 * 10 + TENSOR


def test_a_later_reader_keeps_a_tensor_alive() -> None:
    text = HEAD + "{ a = Neg(x) b = Neg(x) c = Add(a, b) y = Add(a, c) }"
    assert peak_activation_bytes(onnx.parser.parse_model(text)) == 3 * TENSOR
