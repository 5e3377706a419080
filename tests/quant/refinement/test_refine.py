"""Refinement in small: torch computes what the file does, learns, and keeps what is allowed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from calib.runtime import Session
from calib.table import CalibrationTable
from quant.passes.prepared import PreparedGraph
from quant.plan import QuantOptions
from quant.qdq.emit import emit_qdq
from quant.qdq.int8_weights import RoundedWeights
from quant.refinement import refine as refinement
from quant.refinement.network import TorchNetwork
from quant.refinement.operators import require_refinable
from quant.refinement.recorded_scales import (
    Refined,
    free_scales,
    smallest_factors,
    with_learned_scales,
)
from quant.refinement.refine import (
    Examples,
    find_device,
    refine,
)
from quant.refinement.schedule import Rates, Schedule
from quant.rounding.recorded_codes import record_rounding, rounding_faults, stored_weights
from quant.rounding.round_weights import round_weights
from quant.targets import PROFILES
from tests.quant.by_model import with_zero_points_apart
from tests.quant.conftest import HEADER, NO_IMAGES, parse, pictures
from tests.quant.refinement.planned import planned

ALL = Rates(0.004, 2e-4, 0.05, 4e-3)
SCHEDULES = {"some": Schedule(8, 8, 2, replace(ALL, weights=0.0)), "all": Schedule(8, 8, 2, ALL)}

Case = tuple[onnx.ModelProto, CalibrationTable]


@pytest.fixture(params=["residual", "compact"])
def case(request: pytest.FixtureRequest) -> Case:
    name = request.param
    return request.getfixturevalue(name), request.getfixturevalue(f"{name}_table")


def rounded(case: Case, target: str) -> tuple[PreparedGraph, RoundedWeights]:
    model, table = case
    prepared = planned(model, table, target)
    return prepared, round_weights(prepared, table, pictures(model))


def nearness(model: onnx.ModelProto) -> Callable[[PreparedGraph, RoundedWeights], float]:
    (judge,) = pictures(model, 1)
    expected = Session(model, optimized=False, threads=1).run({"input": judge})["output"]

    def measure(prepared: PreparedGraph, weights: RoundedWeights) -> float:
        made = Session(emit_qdq(prepared, weights), optimized=False, threads=1)
        found = made.run({"input": judge})["output"]
        return float(-10 * np.log10(np.mean((found - expected) ** 2)))

    return measure


def refined(
    case: Case,
    prepared: PreparedGraph,
    weights: RoundedWeights,
    measure: Callable[[PreparedGraph, RoundedWeights], float],
) -> Refined:
    examples = Examples(pictures(case[0]), NO_IMAGES, NO_IMAGES, measure)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "ON_CPU", dict.fromkeys(refinement.ON_CPU, SCHEDULES))
        return refine(prepared, case[1], weights, examples, "cpu")


@pytest.mark.parametrize("target", ["ort", "qnn"])
def test_what_is_made_in_float_keeps_its_range(case: Case, target: str) -> None:
    model, table = case
    prepared = planned(model, table, target)
    in_float = {
        name
        for name, edge in prepared.plan.edges.items()
        if prepared.index.producer(edge.tensor) is not None
        and prepared.index.producer(edge.tensor).name in prepared.plan.kept_float
    }
    shrink = dict(zip(free_scales(prepared), smallest_factors(prepared, table), strict=True))
    kept = {names for names, factor in shrink.items() if in_float & {*names}}
    assert bool(kept) == (target == "ort")
    assert all(shrink[names] == 1.0 for names in kept)
    if target == "qnn":
        assert min(shrink.values()) < 1.0


@pytest.mark.parametrize("target", PROFILES)
def test_torch_draws_what_the_file_does(case: Case, target: str) -> None:
    prepared, weights = rounded(case, target)
    network = TorchNetwork(prepared, weights, "cpu")
    (picture,) = pictures(case[0], 1)
    drawn = {}
    with torch.no_grad():
        for quantized in (False, True):
            found = network.draw(torch.from_numpy(picture), quantized=quantized)
            drawn[quantized] = found.numpy()
    for quantized, model in ((False, prepared.model), (True, emit_qdq(prepared, weights))):
        session = Session(model, optimized=False, threads=1)
        expected = session.run({"input": picture})["output"]
        np.testing.assert_allclose(drawn[quantized], expected, rtol=0, atol=2e-5)
    assert np.abs(drawn[True] - drawn[False]).max() > 1e-4


def test_what_a_concat_joins_with_zero_points_apart_keeps_one_scale(
    residual: onnx.ModelProto, residual_table: CalibrationTable
) -> None:
    prepared, weights = rounded((residual, residual_table), "ort")
    plan = with_zero_points_apart(prepared.plan)
    apart = prepared.under(plan)
    network, (picture,) = TorchNetwork(apart, weights, "cpu"), pictures(residual, 1)
    with torch.no_grad():
        drawn = network.draw(torch.from_numpy(picture), quantized=True).numpy()
    made = Session(emit_qdq(apart, weights), optimized=False, threads=1)
    np.testing.assert_allclose(drawn, made.run({"input": picture})["output"], rtol=0, atol=2e-5)
    (together,) = [names for names in free_scales(apart) if "feat" in names]
    assert {"feat", "x1", "joined"} <= {*together}


@pytest.mark.parametrize(("ratio", "tied"), [(1.0, True), (2.0, True), (1.5, False), (0.5, False)])
def test_scales_around_a_leaky_relu_move_together_where_nothing_is_rounded_twice(
    ratio: float, tied: bool, residual: onnx.ModelProto, residual_table: CalibrationTable
) -> None:
    prepared = planned(residual, residual_table, "qnn")
    edges = prepared.plan.edges
    before = replace(edges["pre_up"], scale=edges["up_out"].scale * ratio)
    changed = prepared.under(replace(prepared.plan, edges={**edges, "pre_up": before}))
    (together,) = [names for names in free_scales(changed) if "up_out" in names]
    assert ("pre_up" in together) is tied


@pytest.mark.parametrize("target", ["ort", "tensorrt", "tensorrt-10"])
def test_what_is_learned_is_the_same_each_time_and_allowed(case: Case, target: str) -> None:
    prepared, weights = rounded(case, target)
    rising = iter((1.0, 2.0, 3.0) * 2)
    first, second = (refined(case, prepared, weights, lambda *_: next(rising)) for _ in range(2))
    assert first.record == second.record
    assert [stage.taken for stage in first.record.stages] == [True, True]
    for name, codes in first.weights.codes.items():
        np.testing.assert_array_equal(codes, second.weights.codes[name])
        assert prepared.plan.weights[name].limits.excess(codes) == 0
    done = with_learned_scales(prepared, case[1], first.record, first.scales.weights)
    assert done.plan.edges != prepared.plan.edges
    for names in free_scales(prepared):
        assert len({done.plan.edges[name].scale for name in names}) == 1
    recorded = record_rounding(done, first.weights, NO_IMAGES)
    stored = stored_weights(recorded, emit_qdq(recorded, first.weights))
    assert list(rounding_faults(recorded, stored)) == []


def test_what_is_not_better_is_left_out(case: Case) -> None:
    prepared, weights = rounded(case, "qnn")
    falling = iter((3.0, 2.0, 1.0))
    found = refined(case, prepared, weights, lambda *_: next(falling))
    assert found.weights is weights
    assert not found.scales.activations
    done = with_learned_scales(prepared, case[1], found.record, found.scales.weights)
    assert (done.plan.edges, done.plan.weights) == (prepared.plan.edges, prepared.plan.weights)
    assert "(left out)" in str(found.record)


def test_the_judges_decide_by_the_file(case: Case) -> None:
    prepared, weights = rounded(case, "ort")
    measure = nearness(case[0])
    found = refined(case, prepared, weights, measure)
    done = with_learned_scales(prepared, case[1], found.record, found.scales.weights)
    best = max([found.record.parity_db, *(s.parity_db for s in found.record.stages if s.taken)])
    assert measure(done, found.weights) == pytest.approx(best, abs=1e-9)


Scales = dict[str, float]


def too_far(scales: Scales, grid: tuple[str, ...]) -> None:
    scales.update({name: 2.5 * scales[name] for name in grid})


def apart_from_its_grid(scales: Scales, grid: tuple[str, ...]) -> None:
    scales[grid[1]] *= 1.01


def missing(scales: Scales, grid: tuple[str, ...]) -> None:
    del scales[grid[1]]


def between_numbers_of_fp16(scales: Scales, grid: tuple[str, ...]) -> None:
    scales.update({name: float(np.float32(scales[name] * (1 + 2**-13))) for name in grid})


@pytest.mark.parametrize(
    ("target", "spoil", "told"),
    [
        ("ort", too_far, "expected"),
        ("ort", apart_from_its_grid, "with which it shares one"),
        ("ort", missing, "lacks a scale of edge"),
        ("tensorrt", between_numbers_of_fp16, "which fp16 does not hold"),
    ],
)
def test_a_scale_that_cannot_be_learned_is_refused(
    residual: onnx.ModelProto,
    residual_table: CalibrationTable,
    target: str,
    spoil: Callable[[Scales, tuple[str, ...]], None],
    told: str,
) -> None:
    case = residual, residual_table
    prepared, weights = rounded(case, target)
    rising = iter((1.0, 2.0, 3.0))
    found = refined(case, prepared, weights, lambda *_: next(rising))
    shared = next(names for names in free_scales(prepared) if len(names) > 1)
    scales = dict(found.record.activations)
    spoil(scales, shared)
    record = replace(found.record, activations=scales)
    with pytest.raises(GraphError, match=told):
        with_learned_scales(prepared, residual_table, record, found.scales.weights)


def test_an_operator_that_is_not_known_is_refused_in_one_line() -> None:
    model = parse(
        HEADER
        + """
odd (float[1,3,8,8] input) => (float[1,3,8,8] output)
<float[3,3,3,3] w0, float[3] b0>
{ [conv] c = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [soft] output = Softmax<axis=1>(c) }
"""
    )
    with pytest.raises(UsageError, match=r"cannot refine through Softmax of node 'soft'") as caught:
        require_refinable(GraphIndex(model))
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="--device cuda"):
        find_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (find_device("auto"), find_device("cpu")) == ("cuda", "cpu")


def test_high_effort_rounds_by_gptq() -> None:
    with pytest.raises(UsageError, match="effort high"):
        QuantOptions(rounding="nearest", effort="high")
