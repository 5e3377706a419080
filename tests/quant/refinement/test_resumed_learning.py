"""Learning that is taken up in the middle: the same steps as without a stop."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from calib.table import CalibrationTable
from quant.refinement.learn import learn
from quant.refinement.learning_state import LearningState
from quant.refinement.network import TorchNetwork
from quant.refinement.schedule import Rates, Schedule
from quant.rounding.round_weights import round_weights
from tests.quant.conftest import pictures
from tests.quant.refinement.test_refine import planned

SCHEDULE = Schedule(8, 12, 2, Rates(0.004, 2e-4, 0.05, 4e-3))


class Memory:
    """Keeps every state, and gives back one of them."""

    def __init__(self, start: LearningState | None = None) -> None:
        self.start, self.kept = start or LearningState(), []

    def last(self) -> LearningState:
        return self.start

    def keep(self, state: Callable[[], LearningState], *, at_end: bool) -> None:
        self.kept.append((state(), at_end))


@pytest.fixture
def fresh(compact: onnx.ModelProto, compact_table: CalibrationTable) -> Callable[[], TorchNetwork]:
    prepared = planned(compact, compact_table, "ort")
    weights = round_weights(prepared, compact_table, pictures(compact))
    return lambda: TorchNetwork(prepared, weights, "cpu")


def learned(network: TorchNetwork) -> list[np.ndarray]:
    kinds = network.learned.kinds()
    return [value.detach().numpy().copy() for name in kinds for value in kinds[name]]


@pytest.mark.parametrize("step", range(1, SCHEDULE.steps + 1))
def test_going_on_from_any_step_ends_at_the_same_bytes(
    step: int, fresh: Callable[[], TorchNetwork], compact: onnx.ModelProto
) -> None:
    whole, resumed, memory = fresh(), fresh(), Memory()
    losses = learn(whole, "map", pictures(compact), SCHEDULE, keeper=memory)
    assert [state.step for state, _ in memory.kept] == list(range(1, SCHEDULE.steps + 1))
    assert [at_end for _, at_end in memory.kept] == [False] * (SCHEDULE.steps - 1) + [True]

    again = Memory(memory.kept[step - 1][0])
    ticks: list[None] = []
    told = learn(
        resumed, "map", pictures(compact), SCHEDULE, lambda: ticks.append(None), keeper=again
    )
    assert told == losses
    assert len(ticks) == SCHEDULE.steps
    assert len(again.kept) == SCHEDULE.steps - step
    for one, other in zip(learned(whole), learned(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
