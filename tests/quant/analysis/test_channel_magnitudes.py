"""Magnitudes of channels: by the step that suits each, behind whatever activation."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from quant import planner
from quant.analysis.channel_magnitudes import channel_magnitudes, step_errors
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.numerics.grids import Grids
from quant.plan import QuantOptions
from quant.planner import plan_graph
from quant.targets import PROFILES

GRAPH = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,64,64] input) => (float[1,2,64,64] output)
<float[2,2,1,1] w0 = {WEIGHT}, float[2,2,1,1] w1 = {1.0, 0.0, 0.0, 1.0}, float[2,1,1] slope>
{
  [a] pre = Conv(input, w0)
  [l] act = ACTIVATION
  [b] output = Conv(act, w1)
}"""
ACTIVATIONS = {
    "leaky": "LeakyRelu<alpha=0.2>(pre)",
    "prelu": "PRelu(pre, slope)",
    "relu": "Relu(pre)",
}
EVERY_GRID = [Grids(symmetric, before) for symmetric in (True, False) for before in (True, False)]


def distributions(model: onnx.ModelProto, table) -> TensorDistributions:
    return TensorDistributions(ObservationRules(Topology(GraphIndex(model))), table.tensors)


@pytest.mark.parametrize("grids", EVERY_GRID)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_like_channels_compare_by_their_size(
    name: str, grids: Grids, parsed: Callable, calibrated: Callable
) -> None:
    text = GRAPH.replace("ACTIVATION", ACTIVATIONS[name])
    model = parsed(text.replace("WEIGHT", "1.0, -1.0, 4.0, -4.0"))
    slopes = next(t for t in model.graph.initializer if t.name == "slope")
    slopes.CopyFrom(onnx.numpy_helper.from_array(np.full((2, 1, 1), 0.3, np.float32), "slope"))
    found = channel_magnitudes(distributions(model, calibrated(model)), "pre", grids)
    assert found[1] / found[0] == pytest.approx(4.0)


def test_a_channel_below_zero_needs_room_before_its_activation_only(
    parsed: Callable, calibrated: Callable
) -> None:
    text = GRAPH.replace("ACTIVATION", ACTIVATIONS["leaky"])
    model = parsed(text.replace("WEIGHT", "1.0, 0.0, -1.0, 0.0"))
    seen = distributions(model, calibrated(model))
    before = channel_magnitudes(seen, "pre", Grids(symmetric=True, before_activation=True))
    behind = channel_magnitudes(seen, "pre", Grids(symmetric=True, before_activation=False))
    assert behind[1] / behind[0] == pytest.approx(0.2, rel=0.15)
    assert before[1] / before[0] == pytest.approx(1.0, rel=0.15)


def test_a_channel_of_nothing_has_none(parsed: Callable, calibrated: Callable) -> None:
    text = GRAPH.replace("ACTIVATION", ACTIVATIONS["leaky"])
    model = parsed(text.replace("WEIGHT", "1.0, 0.0, 0.0, 0.0"))
    found = channel_magnitudes(distributions(model, calibrated(model)), "pre", EVERY_GRID[0])
    assert found[1] == 0.0 < found[0]


def test_what_was_not_observed_counts_by_its_largest(
    residual: onnx.ModelProto, calibrated: Callable
) -> None:
    seen = distributions(residual, calibrated(residual))
    assert step_errors(seen, "scaled", EVERY_GRID[0]) is None
    assert (channel_magnitudes(seen, "scaled", EVERY_GRID[0]) > 0.0).all()


@pytest.mark.parametrize("target", PROFILES)
def test_a_trunk_that_is_rounded_is_equalized_further(
    target: str, residual: onnx.ModelProto, calibrated: Callable
) -> None:
    """A loud channel of the trunk is brought down to the others, as far as the target asks."""
    model = onnx.ModelProto()
    model.CopyFrom(residual)
    for tensor in model.graph.initializer:
        if tensor.name in {"w0", "b0", "w2", "b2"}:
            loud = onnx.numpy_helper.to_array(tensor).copy()
            loud[0] *= 16.0
            tensor.CopyFrom(onnx.numpy_helper.from_array(loud, tensor.name))
    prepared = plan_graph(GraphIndex(model), calibrated(model), PROFILES[target], QuantOptions())
    factors = np.log2(prepared.equalized.tensors.get("feat", np.ones(4)))
    reach = {"qnn": (2.5, 4.0), "qnn-w8a16": (0.0, 0.0)}.get(target, (1.0, 3.0))
    assert reach[0] <= factors[0] - factors[1:].mean() <= reach[1]


@pytest.mark.parametrize(
    ("target", "network", "by_steps"),
    [
        ("ort", "leaky chain", False),
        ("openvino", "leaky chain", False),
        ("qnn", "leaky chain", False),
        ("tensorrt", "leaky chain", True),
        ("tensorrt-10", "leaky chain", True),
        ("ort", "compact", False),
        ("tensorrt", "compact", False),
        ("ort", "residual", True),
        ("openvino", "residual", True),
        ("qnn-w8a16", "residual", False),
        ("qnn", "residual", True),
        ("tensorrt", "residual", True),
    ],
)
def test_steps_decide_where_they_pay(
    target: str, network: str, by_steps: bool, request: pytest.FixtureRequest, calibrated: Callable
) -> None:
    chain = network == "leaky chain"
    model = request.getfixturevalue("compact" if chain else network)
    model = with_leaky_relus(model) if chain else model
    table = calibrated(model)
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        original = planner.eight_bit_magnitudes
        patch.setattr(
            planner,
            "eight_bit_magnitudes",
            lambda *given, **named: seen.append("steps") or original(*given, **named),
        )
        plan_graph(GraphIndex(model), table, PROFILES[target], QuantOptions())
    assert bool(seen) == by_steps


def with_leaky_relus(compact: onnx.ModelProto) -> onnx.ModelProto:
    """Return the chain with a LeakyReLU in place of each PReLU."""
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    slopes = {node.input.pop() for node in model.graph.node if node.op_type == "PRelu"}
    for node in model.graph.node:
        if node.op_type == "PRelu":
            node.op_type = "LeakyRelu"
            node.attribute.append(onnx.helper.make_attribute("alpha", 0.2))
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in slopes]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model
