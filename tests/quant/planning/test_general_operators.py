"""Operators that no rule is about: in float with a reason, or integers on every edge."""

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from quant.passes.equivalence import outputs_of
from quant.plan import QuantOptions
from quant.planner import plan_graph
from quant.qdq.emit import emit_qdq
from quant.qdq.rules import check_rules
from quant.targets import PROFILES
from tests.quant.by_model import make_plan

GENERAL = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,2,4,4] input) => (float[1,2,4,4] output)
    <float[2,2,3,3] w0, float[2,2,3,3] w1, float[1,2,1,1] k = {0.5, 2.0},
     float low = {0.0}, float high = {1.0}>
    {
      [a] s = Conv<pads=[1,1,1,1]>(input, w0)
      [b] t = Sigmoid(s)
      [d] u = Sub(t, k)
      [m] v = ReduceMean<axes=[2,3], keepdims=1>(u)
      [e] w = Mul(u, v)
      [c] x = Conv<pads=[1,1,1,1]>(w, w1)
      [f] output = Clip(x, low, high)
    }"""
"""Operators that no rule is about: Sigmoid, Sub, ReduceMean, Clip."""


def test_operators_of_no_rule_stay_in_float_with_their_reason(parsed, calibrated) -> None:
    model: onnx.ModelProto = parsed(GENERAL)
    plan = make_plan(model, calibrated(model), PROFILES["ort"], QuantOptions())
    for node, operator in (("b", "Sigmoid"), ("d", "Sub"), ("m", "ReduceMean"), ("f", "Clip")):
        assert operator in plan.kept_float[node]
    assert set(plan.weights) == {"w1"}
    assert plan.constants == {}


@pytest.mark.parametrize(
    ("target", "full_integer"),
    [("qnn", False), ("qnn-w8a16", False), ("ort", True), ("tensorrt", True), ("openvino", True)],
)
def test_they_take_and_give_integers_where_every_edge_is_quantized(
    target, full_integer, parsed, calibrated
) -> None:
    model: onnx.ModelProto = parsed(GENERAL)
    options, profile = QuantOptions(full_integer=full_integer), PROFILES[target]
    prepared = plan_graph(GraphIndex(model), calibrated(model), profile, options)
    kept = prepared.plan.kept_float
    assert not any("is not one the planner can quantize" in reason for reason in kept.values())
    assert {"t", "u", "v", "w", "x", "output"} <= {e.tensor for e in prepared.plan.edges.values()}
    constants = {"k"} if profile.quantized_constants else set()
    assert set(prepared.plan.constants) == constants
    emitted = emit_qdq(prepared)
    assert check_rules(emitted, profile) == ()
    picture = np.random.default_rng(0).random((1, 3, 4, 4), np.float32)[:, :2]
    found, expected = (outputs_of(m, [picture])[0]["output"] for m in (emitted, model))
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 0.2
