"""How channels of a residual trunk compare: what reads it, and whose errors count."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from quant.numerics.channel_steps import StepErrors
from quant.passes.equalize import trunks
from quant.passes.trunk_magnitudes import TrunkTensor, reading_weights, trunk_magnitudes


def tensor(name: str, sizes: tuple[float, ...], weight: float = 1.0) -> TrunkTensor:
    values = np.sort(np.random.default_rng(0).normal(0.0, 1.0, 4_000))
    rows = values * np.array(sizes)[:, np.newaxis]
    channels = np.ones(len(sizes))
    errors = StepErrors.of(rows, np.ones_like(rows), channels, symmetric=True)
    return TrunkTensor(name, weight * channels, errors)


def ratios(magnitudes: np.ndarray) -> np.ndarray:
    return magnitudes / magnitudes[0]


def test_one_tensor_makes_its_channels_alike() -> None:
    found = trunk_magnitudes([tensor("t", (1.0, 2.0, 8.0))])["t"]
    assert ratios(found).tolist() == [1.0, 2.0, 8.0]


def test_all_tensors_of_a_trunk_compare_alike_and_keep_their_sizes() -> None:
    found = trunk_magnitudes([tensor("small", (1.0, 4.0)), tensor("large", (16.0, 64.0))])
    np.testing.assert_allclose(found["large"], 16.0 * found["small"])


@pytest.mark.parametrize(("weight", "nearer"), [(100.0, 4.0), (0.01, 0.25)])
def test_the_tensor_that_counts_decides(weight: float, nearer: float) -> None:
    found = trunk_magnitudes([tensor("a", (1.0, 4.0), weight), tensor("b", (4.0, 1.0))])
    assert ratios(found["a"])[1] == pytest.approx(nearer, rel=0.2)
    np.testing.assert_allclose(ratios(found["a"]), ratios(found["b"]))


def test_a_channel_of_nothing_keeps_its_scale() -> None:
    found = trunk_magnitudes([tensor("t", (1.0, 0.0, 4.0))])["t"]
    assert (found / found[1]).tolist() == [0.5, 1.0, 2.0]
    silent = trunk_magnitudes([tensor("t", (0.0, 0.0))])["t"]
    assert ratios(silent).tolist() == [1.0, 1.0]


def test_a_trunk_is_what_convolutions_add_to(residual: onnx.ModelProto, compact: onnx.ModelProto):
    assert trunks(residual) == (("feat", "scaled", "trunk", "large"),)
    assert trunks(compact) == ()


def test_weights_count_the_convolutions_ahead(residual: onnx.ModelProto) -> None:
    weights = reading_weights(GraphIndex(residual))
    # conv_up reads the sum; conv1 reads feat as well, and a fifth of the branch reaches the sum.
    assert weights["trunk"].mean() == pytest.approx(1.0, rel=0.2)
    assert weights["feat"].mean() == pytest.approx(2.0, rel=0.2)
    np.testing.assert_allclose(weights["branch"], weights["trunk"] * 0.04)
    assert "output" not in weights


def test_channels_count_by_the_weights_that_read_them(parsed: Callable) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,1,4,4] output)
        <float[2,2,1,1] w0, float[1,2,1,1] w1 = {1.0, 3.0}>
        {
          [a] made = Conv(input, w0)
          [b] output = Conv(made, w1)
        }"""
    )
    found = reading_weights(GraphIndex(model))["made"]
    np.testing.assert_allclose(found[1] / found[0], 3.0)


@pytest.mark.parametrize(
    "body",
    [
        "[b] read = Conv<group=2>(made, v)",
        "[b] read = Add(made, grey)",
        "[b] read = Mul(made, made)",
        "[b] read = Sigmoid(made)",
    ],
    ids=["grouped", "broadcast", "product", "unknown"],
)
def test_any_wiring_gives_weights_of_its_channels(body: str, parsed: Callable) -> None:
    model = parsed(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,3,4,4] output)
        <float[2,2,1,1] w0, float[1,2,1,1] w1, float[2,1,1,1] v, float[3,2,1,1] w2>
        {{
          [a] made = Conv(input, w0)
          [g] grey = Conv(input, w1)
          {body}
          [c] output = Conv(read, w2)
        }}"""
    )
    index = GraphIndex(model)
    for name, found in reading_weights(index).items():
        assert found.shape == (index.shape(name)[1],), name
        assert np.isfinite(found).all()
