"""How far a network without a trunk is equalized: less far where pairs are chosen together."""

from collections.abc import Callable, Mapping

import onnx
import pytest

from calib.table import CalibrationTable
from quant import planner
from quant.passes.equalize import is_chain
from quant.plan import QuantOptions
from quant.targets import PROFILES
from tests.quant.by_model import make_plan


@pytest.mark.parametrize("options", [{}, {"full_integer": True}, {"equalization": "none"}], ids=str)
@pytest.mark.parametrize("network", ["compact", "residual"])
@pytest.mark.parametrize("target", PROFILES)
def test_only_chains_of_pairs_with_zero_points_go_that_far(  # fixtures
    target: str,
    network: str,
    options: Mapping[str, object],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model: onnx.ModelProto = request.getfixturevalue(network)
    table: CalibrationTable = request.getfixturevalue(f"{network}_table")
    profile = PROFILES[target]
    plans = []
    for exponent in (0.0, 1.0):
        monkeypatch.setattr(planner, "PAIRED_CHAIN_EXPONENT", exponent)
        plans.append(make_plan(model, table, profile, QuantOptions(**options)))
    assert is_chain(model) == (network == "compact")
    equalized = plans[0].options.equalization == "all"
    paired = profile.pair_before_activation == "needed" and not profile.symmetric
    expected = is_chain(model) and equalized and paired and profile.convolution == "int8"
    assert (plans[0] != plans[1]) == expected


def test_a_chain_of_leaky_relus_goes_as_far_as_elsewhere(
    compact: onnx.ModelProto,
    calibrated: Callable[[onnx.ModelProto], CalibrationTable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their pairs are chosen one after the other, as their outputs tell their inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    slopes = {n.input.pop() for n in model.graph.node if n.op_type == "PRelu"}
    for node in model.graph.node:
        if node.op_type == "PRelu":
            node.op_type = "LeakyRelu"
            node.attribute.append(onnx.helper.make_attribute("alpha", 0.2))
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in slopes]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    assert slopes
    table, plans = calibrated(model), []
    for exponent in (0.0, 1.0):
        monkeypatch.setattr(planner, "PAIRED_CHAIN_EXPONENT", exponent)
        plans.append(make_plan(model, table, PROFILES["ort"], QuantOptions()))
    assert plans[0] == plans[1]
