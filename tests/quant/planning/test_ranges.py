"""How far ranges reach: those of 8 bits as far as calibration's values, those of 16 further."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pytest

from calib.runtime import Session
from calib.table import CalibrationTable
from quant.numerics.psnr import psnr_of
from quant.plan import QuantOptions, QuantPlan
from quant.planning.ranges import ROOM
from quant.targets import PROFILES, find_profile
from tests.quant.by_model import emit_qdq, make_plan, prepare

ALL_IN_16_BITS: dict[str, QuantOptions] = {
    name: QuantOptions(head="int16", trunk="int16", tail="int16")
    for name, profile in PROFILES.items()
    if "int16" in profile.precisions
}


@pytest.fixture(params=["residual", "compact"])
def network(request: pytest.FixtureRequest) -> onnx.ModelProto:
    """A network with a trunk, and a chain of PReLUs."""
    found: onnx.ModelProto = request.getfixturevalue(request.param)
    return found


def planned(
    model: onnx.ModelProto, table: CalibrationTable, target: str, options: QuantOptions
) -> QuantPlan:
    return make_plan(model, table, find_profile(target), options)


def reach(plan: QuantPlan, model: onnx.ModelProto, probes, exposed) -> Mapping[str, float]:
    """Return by edge how many times as wide as calibration's values its range is."""
    searched = {name: edge for name, edge in plan.edges.items() if "pinned" not in edge.rule}
    tensors = tuple(dict.fromkeys(edge.tensor for edge in searched.values()))
    session = Session(exposed(prepare(model, plan).model, tensors), optimized=False, threads=1)
    made = [session.run({"input": picture}) for picture in probes(model)]
    widths = {
        name: np.ptp([[0.0, one[name].min(), one[name].max()] for one in made]) for name in tensors
    }
    return {name: (edge.high - edge.low) / widths[edge.tensor] for name, edge in searched.items()}


def drawn(model: onnx.ModelProto, probes) -> np.ndarray:
    """Return the pictures that a model draws, clipped to [0, 1]."""
    session = Session(model, optimized=False, threads=1)
    outputs = [session.run({"input": picture})["output"] for picture in probes(model)]
    return np.stack(outputs).clip(0.0, 1.0)


@pytest.mark.parametrize("target", ALL_IN_16_BITS)
def test_ranges_of_16_bits_alone_reach_further(
    target: str, network: onnx.ModelProto, calibrated: Callable, probes, exposed
) -> None:
    plan = planned(network, calibrated(network), target, ALL_IN_16_BITS[target])
    found = reach(plan, network, probes, exposed)
    wide = {name for name in found if plan.edges[name].dtype.endswith("16")}
    assert wide
    for name, times in found.items():
        edge = plan.edges[name]
        assert edge.rule.endswith(f"{ROOM} times as wide") == (name in wide)
        if name in wide:
            # Values around an activation may have the grid of what stands behind it.
            assert 0.4 * ROOM < times < 2.5 * ROOM, name
            assert edge.percentile == 100.0
        else:
            assert times < 2.5, name


@pytest.mark.parametrize("target", ALL_IN_16_BITS)
def test_scales_keep_their_ratios(
    target: str, network: onnx.ModelProto, calibrated, monkeypatch
) -> None:
    """What a grid shares with another, or with the pair before an activation, it still shares."""
    table, options = calibrated(network), ALL_IN_16_BITS[target]
    wide = planned(network, table, target, options).edges
    monkeypatch.setattr("quant.planning.ranges.ROOM", 1)
    for name, edge in planned(network, table, target, options).edges.items():
        room = ROOM if wide[name].rule.endswith("times as wide") else 1
        assert wide[name].scale == room * edge.scale
        assert wide[name].zero_point == edge.zero_point


def test_a_percentile_that_was_asked_for_is_the_range(network: onnx.ModelProto, calibrated) -> None:
    plan = planned(network, calibrated(network), "qnn-w8a16", QuantOptions(percentile=99.0))
    assert not [name for name, edge in plan.edges.items() if "wide" in edge.rule]


def test_16_bits_hold_what_calibration_never_saw(
    network: onnx.ModelProto, calibrated: Callable, probes
) -> None:
    """Pictures six times as bright as those calibrated on, which 8 bits clip."""
    dark = calibrated(network, 1 / 6)
    found = {}
    for target in ("qnn", "qnn-w8a16"):
        plan = planned(network, dark, target, QuantOptions(rounding="nearest"))
        exact, rounded = (drawn(model, probes) for model in (network, emit_qdq(network, plan)))
        found[target] = psnr_of(float(np.square(exact - rounded).mean()))
    assert found["qnn"] < 25.0
    assert found["qnn-w8a16"] > found["qnn"] + 20.0
