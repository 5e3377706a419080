"""Learning: what it follows, and how fast."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.plan import QuantOptions
from quant.planner import plan_graph
from quant.refinement.learn import learn
from quant.refinement.network import TorchNetwork
from quant.refinement.schedule import Rates, Schedule
from quant.rounding.round_weights import round_weights
from quant.targets import find_profile
from tests.quant.conftest import pictures
from tests.quant.refinement.planned import planned

RATES = Rates(0.004, 2e-4, 0.05, 4e-3)


def test_learning_lowers_the_loss(
    compact: onnx.ModelProto, compact_table: CalibrationTable
) -> None:
    clipping = QuantOptions(percentile=90.0, effort="high")
    graph = GraphIndex(compact)
    prepared = plan_graph(graph, compact_table, find_profile("ort"), clipping)
    weights = round_weights(prepared, compact_table, pictures(compact))
    network = TorchNetwork(prepared, weights, "cpu")
    fast = Schedule(8, 48, 2, replace(RATES, activations=2e-2))
    losses = learn(network, "map", pictures(compact), fast)
    assert len(losses) == 24
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6])  # 0.8 of the square


@pytest.mark.parametrize(("fall", "momentum"), [(1.0, 0.9), (2.0, 0.97)])
def test_rates_fall_along_a_power_of_half_a_cosine(
    fall: float,
    momentum: float,
    compact: onnx.ModelProto,
    compact_table: CalibrationTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[list[float]] = []
    decays: set[float] = set()

    class Watched(torch.optim.Adam):
        def step(self, closure: None = None) -> None:
            taken.append([group["lr"] for group in self.param_groups])
            decays.update(group["betas"][0] for group in self.param_groups)
            super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    prepared = planned(compact, compact_table, "ort")
    weights = round_weights(prepared, compact_table, pictures(compact))
    network = TorchNetwork(prepared, weights, "cpu")
    schedule = Schedule(8, 16, 2, RATES, fall=fall, momentum=momentum)
    learn(network, "map", pictures(compact), schedule)
    first, *_, last = taken
    assert len(taken) == schedule.steps == 8
    assert sorted(first) == sorted([RATES.weights, RATES.scales, RATES.biases, RATES.activations])
    np.testing.assert_allclose(taken[4], np.multiply(first, 0.5**fall))
    assert max(np.divide(last, first)) < 0.05
    assert decays == {momentum}
