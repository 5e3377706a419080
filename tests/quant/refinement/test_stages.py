"""What is learned of a network, in how many steps of which size."""

import operator

import onnx
import pytest

from calib.table import CalibrationTable
from quant.analysis.multiplications import multiplications
from quant.passes.rebatch import with_batch
from quant.refinement import refine as refinement
from quant.refinement.refine import stages_of, total_steps
from quant.refinement.schedule import Rates
from quant.targets import PROFILES
from tests.quant.refinement.planned import planned


def test_a_small_network_learns_from_more_crops(
    compact: onnx.ModelProto, compact_table: CalibrationTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = planned(compact, compact_table, "ort")
    (small,) = stages_of(prepared, "cpu").values()
    monkeypatch.setattr(refinement, "_SMALL", 0)
    (large,) = stages_of(prepared, "cpu").values()
    assert small.crops == 2.5 * large.crops
    assert total_steps(prepared, "cpu") == large.steps > 100


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize("name", ["residual", "compact"])
def test_scales_are_learned_but_beside_a_trunk_in_float(
    name: str, target: str, request: pytest.FixtureRequest
) -> None:
    model, table = request.getfixturevalue(name), request.getfixturevalue(f"{name}_table")
    rates = [stage.rates for stage in stages_of(planned(model, table, target), "cpu").values()]
    trunk_in_float = name == "residual" and PROFILES[target].trunk == "float"
    assert any(rate.activations > 0.0 for rate in rates) is not trunk_in_float
    assert any(rate.scales > 0.0 for rate in rates) is not trunk_in_float
    assert all(rate.weights > 0.0 and rate.biases > 0.0 for rate in rates)


def steps_of(rates: Rates) -> tuple[float, ...]:
    return rates.weights, rates.scales, rates.biases, rates.activations


@pytest.mark.parametrize("target", PROFILES)
def test_steps_are_smaller_beside_a_trunk(
    target: str,
    residual: onnx.ModelProto,
    residual_table: CalibrationTable,
    compact: onnx.ModelProto,
    compact_table: CalibrationTable,
) -> None:
    (trunk,) = stages_of(planned(residual, residual_table, target), "cpu").values()
    (chain,) = stages_of(planned(compact, compact_table, target), "cpu").values()
    assert all(map(operator.lt, steps_of(trunk.rates), steps_of(chain.rates)))
    assert trunk.recoloured == 0.0 < chain.recoloured < 0.5


def test_a_batch_is_no_larger_network(
    compact: onnx.ModelProto, compact_table: CalibrationTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = planned(compact, compact_table, "ort")
    index = prepared.index
    _, _, height, width = index.shape("input") or ()
    total = sum(multiplications(index, node) for node in index.nodes if node.op_type == "Conv")
    monkeypatch.setattr(refinement, "_SMALL", 2 * total / (height * width))
    batched = planned(with_batch(compact, 4), compact_table, "ort")
    assert stages_of(batched, "cpu") == stages_of(prepared, "cpu") != refinement.ON_CPU["none"]
