"""Slopes of activations, and what clips before them: against the tensors themselves."""

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.activation_slopes import (
    activated_values,
    activation_slopes,
    clipped_share,
    slopes_behind,
)
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology

GRAPH = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,3,32,32] input) => (float[1,3,32,32] output)
<float[4,3,3,3] w0, float[4,1,1] given = {0.25, -0.5, 1.5, 0.0}, float[3,4,3,3] w1>
{
  [first] a = Conv<pads=[1,1,1,1]>(input, w0)
  [act] b = %s
  [last] output = Conv<pads=[1,1,1,1]>(b, w1)
}
"""
SLOPES = {
    "Relu(a)": [0.0] * 4,
    "LeakyRelu<alpha=1.5>(a)": [1.5] * 4,
    "PRelu(a, given)": [0.25, -0.5, 1.5, 0.0],
}
FACTORS = np.array([0.5, 1.0, 2.0, 4.0])


def described(model: onnx.ModelProto, table, factors=None) -> TensorDistributions:
    return TensorDistributions(
        ObservationRules(Topology(GraphIndex(model))), table.tensors, factors or {}
    )


def values_of(model: onnx.ModelProto, tensor: str, probes, exposed) -> np.ndarray:
    """Return float64 ``[N, 4, H, W]``."""
    session = Session(exposed(model, (tensor,)), optimized=False, threads=1)
    made = [session.run({"input": picture})[tensor] for picture in probes(model)]
    return np.concatenate(made).astype(np.float64)


@pytest.mark.parametrize("activation", SLOPES)
def test_each_channel_has_its_slope(activation, parsed) -> None:
    rules = ObservationRules(Topology(GraphIndex(parsed(GRAPH % activation))))
    np.testing.assert_allclose(slopes_behind(rules, "a"), SLOPES[activation])


@pytest.mark.parametrize("activation", ["LeakyRelu<alpha=0.2>(a)", "Sigmoid(a)"])
def test_nothing_is_to_be_known_of_others(activation, parsed) -> None:
    """An invertible LeakyReLU's input follows from its output; a Sigmoid has no slopes."""
    rules = ObservationRules(Topology(GraphIndex(parsed(GRAPH % activation))))
    assert slopes_behind(rules, "a") is None
    assert slopes_behind(rules, "input") is None


def test_slopes_that_are_computed_are_none(parsed) -> None:
    index = GraphIndex(parsed(GRAPH % "PRelu(a, a)"))
    assert activation_slopes(index, index.nodes[1], 4) is None


@pytest.mark.parametrize("factors", [None, FACTORS], ids=["as observed", "equalized"])
@pytest.mark.parametrize("activation", SLOPES)
def test_values_of_both_sides_are_those_of_the_tensors(  # noqa: PLR0917  # fixtures
    activation, factors, parsed, calibrated, probes, exposed
) -> None:
    model = parsed(GRAPH % activation)
    divided = {} if factors is None else {"a": factors}
    distributions = described(model, calibrated(model), divided)
    seen = activated_values(distributions, "a", np.array(SLOPES[activation]))
    scale = np.ones(4) if factors is None else factors
    for found, tensor in ((seen.inputs, "a"), (seen.outputs, "b")):
        values = values_of(model, tensor, probes, exposed) / scale.reshape(1, 4, 1, 1)
        spread = values.std()
        shares = seen.counts / seen.counts.sum()
        assert np.dot(shares, found) == pytest.approx(values.mean(), abs=0.02 * spread)
        assert np.dot(shares, found**2) == pytest.approx(np.mean(values**2), rel=0.02)


@pytest.mark.parametrize("activation", SLOPES)
@pytest.mark.parametrize(("low", "high"), [(-0.2, 0.3), (0.0, 0.5), (-0.5, 0.1), (-9.0, 9.0)])
def test_what_is_clipped_is_what_the_activation_tells_apart(  # noqa: PLR0917  # fixtures
    low, high, activation, parsed, calibrated, probes, exposed
) -> None:
    model = parsed(GRAPH % activation)
    found = clipped_share(described(model, calibrated(model)), "a", low, high, 0.01)
    before = values_of(model, "a", probes, exposed)
    slopes = np.reshape(SLOPES[activation], (1, 4, 1, 1))
    ends = [np.where(x < 0, slopes * x, x) for x in (before, before.clip(low, high))]
    assert found == pytest.approx(np.mean(np.abs(ends[0] - ends[1]) > 0.005), abs=0.03)


@pytest.mark.parametrize("slope", [1.0, 0.2, 0.02])
def test_clipping_before_a_leaky_relu_counts_what_moves_behind_it(
    slope, parsed, calibrated, probes, exposed
) -> None:
    model = parsed(GRAPH % f"LeakyRelu<alpha={slope}>(a)")
    found = clipped_share(described(model, calibrated(model)), "a", -0.1, 0.3, 0.01)
    before = values_of(model, "a", probes, exposed)
    moved = (before < -0.1 - 0.005 / slope) | (before > 0.305)
    assert found == pytest.approx(np.mean(moved), abs=0.03)
