"""Pairs before and behind a PReLU or ReLU: what both together lose, on the values themselves."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from quant.numerics.affine import affine_parameters
from quant.numerics.pre_activation_scale import Affine, round_trip
from quant.plan import EdgeQuant
from tests.quant.conftest import COMPACT, parse
from tests.quant.planning.test_activation_scales import CHAIN, planned, seen

TOGETHER = "least squares of both pairs around the activation"
# Slopes of channels, and how much of the loss of a pair that suits the inputs alone may be left:
# where a slope is steep, that pair may be the best there is.
SLOPES = {
    "Relu": ([0.0] * 4, 0.7),
    "gentle": ([0.001, 0.01, 0.0, 0.005], 0.7),
    "steep": ([-0.5, 1.5, 0.1, 0.0], 1.0),
}


@pytest.mark.parametrize(("slopes", "left"), SLOPES.values(), ids=SLOPES)
@pytest.mark.parametrize("target", ["ort", "qnn"])
def test_two_pairs_around_slopes_of_channels_lose_no_more_than_two_apart(  # noqa: PLR0917  # fixtures
    slopes, left, target, parsed, calibrated, probes, exposed
) -> None:
    written = ", ".join(map(str, slopes))
    between = "[act] c = Relu(b)" if not any(slopes) else "[act] c = PRelu(b, given)"
    chain = CHAIN.replace(
        "<float[4,3,3,3] w0", f"<float[4,1,1] given = {{{written}}}, float[4,3,3,3] w0"
    )
    model = parsed(chain % between)
    edges = planned(model, calibrated(model), target)
    assert {edges[name].rule for name in "bc"} == {TOGETHER}
    values = seen(model, "b", probes, exposed).reshape(-1, 4, 64)
    by_value = np.broadcast_to(np.reshape(slopes, (1, 4, 1)), values.shape)

    def behind(before: np.ndarray) -> np.ndarray:
        return np.where(before < 0, before * by_value, before)

    def paired(array: np.ndarray, edge: EdgeQuant) -> np.ndarray:
        return round_trip(array, Affine(edge.scale, edge.zero_point), edge.integer)

    def chain_loss(before: EdgeQuant) -> float:
        found = paired(behind(paired(values, before)), edges["c"])
        return float(np.mean((found - behind(values)) ** 2))

    low, high = values.min(), values.max()
    scale, zero_point = affine_parameters(low, high, edges["b"].integer, symmetric=False)
    apart = replace(edges["b"], scale=scale, zero_point=zero_point)
    assert chain_loss(edges["b"]) <= left * chain_loss(apart)


@pytest.mark.parametrize("target", ["ort", "qnn"])
@pytest.mark.parametrize("seed", range(20))
def test_no_network_has_much_of_it_clipped_before_an_activation(
    seed: int, target: str, calibrated
) -> None:
    """Networks with random weights, one channel of which reaches far below 0, at a slope near 0."""
    model = parse(COMPACT, seed)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        if tensor.name == "slope1":
            values[:] = np.array([0.02, -0.05, 0.01, 0.07], np.float32).reshape(4, 1, 1)
        if tensor.name == "w1":
            values[0] *= 10.0
        if tensor.name == "b1":
            values[0] -= 3.0
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    edges = planned(model, calibrated(model), target)
    before = [edges[name].percentile for name in ("c0", "c1") if name in edges]
    assert before
    assert min(before) >= 98.0
