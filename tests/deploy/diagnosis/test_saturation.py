"""What a CPU without VNNI makes of a QDQ file, computed in another way and held against numpy."""

import numpy as np
import onnx
import pytest
from onnx import parser

from deploy.diagnosis.saturation import saturable_pairs, saturating_model
from deploy.runtime.runner import model_runner

RNG = np.random.default_rng(2)


def qdq_model(weights: np.ndarray, zero_point: int, dtype: str) -> onnx.ModelProto:
    """One padded 3x3 convolution of quantized data; steps of 1/255 and 2^-10 per channel."""
    outputs, inputs = weights.shape[:2]
    signed = "int8" if dtype == "int8" else "uint8"
    model = parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 17]>
        net (float[1, {inputs}, 6, 5] input) => (float[1, {outputs}, 6, 5] output) {{
          codes = QuantizeLinear (input, step, zero)
          x = DequantizeLinear (codes, step, zero)
          w = DequantizeLinear <axis = 0> (wq, wstep, wzero)
          output = Conv <pads = [1, 1, 1, 1]> (x, w)
        }}""")
    model.graph.node[-1].name = "conv"
    constants = {
        "step": np.float32(1 / 255),
        "zero": np.array(zero_point, signed),
        "wq": weights,
        "wstep": np.full(outputs, 2.0**-10, np.float32),
        "wzero": np.zeros(outputs, np.int8),
    }
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    return model


def by_hand(weights: np.ndarray, network_input: np.ndarray, zero_point: int, lowest: int):
    """Sum products in pairs of neighbours with saturation, position by position."""
    codes = np.clip(np.rint(network_input[0] * 255) + zero_point, lowest, lowest + 255) - lowest
    raw_zero = zero_point - lowest
    padded = np.pad(codes, ((0, 0), (1, 1), (1, 1)), constant_values=raw_zero).astype(np.int64)
    outputs, _, height, width = len(weights), *codes.shape
    result = np.zeros((1, outputs, height, width))
    rows = weights.transpose(0, 2, 3, 1).reshape(outputs, -1).astype(np.int64)
    for row in range(height):
        for column in range(width):
            seen = padded[:, row : row + 3, column : column + 3].transpose(1, 2, 0).reshape(-1)
            products = rows * seen
            if products.shape[1] % 2:
                products = np.pad(products, ((0, 0), (0, 1)))
            pairs = products.reshape(outputs, -1, 2).sum(axis=2).clip(-32768, 32767)
            result[0, :, row, column] = pairs.sum(axis=1) - raw_zero * rows.sum(axis=1)
    return result / 255 * 2.0**-10


@pytest.mark.parametrize("inputs", [4, 3], ids=["even", "odd"])
@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("uint8", 100), ("int8", 0)])
def test_the_graph_computes_saturating_sums(inputs: int, dtype: str, zero_point: int) -> None:
    weights = RNG.integers(-127, 128, (5, inputs, 3, 3), np.int8)
    span = (np.iinfo(dtype).min - zero_point) / 255
    network_input = RNG.random((1, inputs, 6, 5), np.float32) + np.float32(span)
    model = qdq_model(weights, zero_point, dtype)
    saturated = saturating_model(model)
    assert saturated is not None
    onnx.checker.check_model(saturated, full_check=True)
    found = model_runner(saturated, optimized=False)(network_input)
    expected = by_hand(weights, network_input, zero_point, np.iinfo(dtype).min)
    exact = model_runner(model, optimized=False)(network_input)
    assert np.abs(exact - expected).max() > 0.01  # saturation is what is looked at
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_pairs_within_the_limit_leave_the_graph_alone() -> None:
    weights = RNG.integers(-64, 65, (5, 4, 3, 3), np.int8)
    assert len(saturable_pairs(weights).channels) == 0
    assert saturating_model(qdq_model(weights, 0, "uint8")) is None


def test_more_pairs_than_one_node_takes() -> None:
    weights = np.full((30, 4, 3, 3), 127, np.int8)
    assert len(saturable_pairs(weights).channels) == 30 * 2 * 9
    network_input = RNG.random((1, 4, 6, 5), np.float32)
    saturated = saturating_model(qdq_model(weights, 0, "uint8"))
    assert saturated is not None
    found = model_runner(saturated, optimized=False)(network_input)
    np.testing.assert_allclose(found, by_hand(weights, network_input, 0, 0), atol=5e-5)
