"""What a plan records of rounded weights, read back from a file: each fault is named."""

import dataclasses
import re

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex
from calib.images_record import ImagesRecord, PatchRecord
from calib.tile import USUAL_SIZE
from quant.plan import QuantOptions, QuantPlan
from quant.qdq.int8_weights import RoundedWeights
from quant.rounding.recorded_codes import bias_room, on_stored_grid
from quant.targets import PROFILES
from tests.quant.by_model import (
    emit_qdq,
    equalized_model,
    make_plan,
    record_rounding,
    round_weights,
    rounding_faults,
    stored_weights,
    with_zero_points_apart,
)

PATCH = PatchRecord("a photograph", "1" * 64)
IMAGES = ImagesRecord("folder", "whole", 0, None, 1, USUAL_SIZE, "0" * 64, (PATCH,))


def chosen(model, table, pictures, target: str = "ort") -> tuple[QuantPlan, RoundedWeights]:
    """Return a plan that records its rounded weights, and the weights."""
    plan = make_plan(model, table, PROFILES[target], QuantOptions())
    rounded = round_weights(model, plan, table, pictures, threads=1)
    return record_rounding(model, plan, rounded, IMAGES), rounded


@pytest.fixture(scope="module")
def told(residual, residual_table, probes) -> tuple[QuantPlan, RoundedWeights]:
    return chosen(residual, residual_table, probes(residual))


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_a_file_gives_back_what_was_chosen(target, residual, residual_table, probes) -> None:
    plan, rounded = chosen(residual, residual_table, probes(residual), target)
    assert QuantPlan.parse(plan.content(), "plan") == plan
    quantized = emit_qdq(residual, plan, rounded)
    stored = stored_weights(residual, plan, quantized)
    assert list(rounding_faults(residual, plan, stored)) == []
    assert set(stored.codes) == set(plan.weights)
    for name, codes in rounded.codes.items():
        np.testing.assert_array_equal(stored.codes[name], codes)
    for name, bias in rounded.biases.items():
        np.testing.assert_array_equal(stored.biases[name], bias)
    assert emit_qdq(residual, plan, stored) == quantized


def test_a_file_gives_back_biases_that_make_up_for_zero_points(told, residual) -> None:
    plan, rounded = told
    apart = with_zero_points_apart(plan)
    quantized = emit_qdq(residual, apart, rounded)
    stored = stored_weights(residual, apart, quantized)
    assert set(rounded.biases) >= {"b1", "b2"}
    for name, bias in rounded.biases.items():
        np.testing.assert_array_equal(stored.biases[name], bias)
    assert emit_qdq(residual, apart, stored) == quantized
    assert quantized != emit_qdq(residual, plan, rounded)


def test_one_changed_code_is_named_by_its_digest(told, residual) -> None:
    plan, rounded = told
    spoiled = rounded.codes["w1"].copy()
    spoiled[0, 0, 0, 0] += 1 if spoiled[0, 0, 0, 0] < 100 else -1
    stored = dataclasses.replace(rounded, codes={**rounded.codes, "w1": spoiled})
    (fault,) = rounding_faults(residual, plan, stored)
    assert fault.startswith("weight w1: int8 weights and bias have sha256")


@pytest.mark.parametrize("spoil", [np.negative, np.zeros_like, lambda c: np.roll(c, 1, axis=1)])
def test_codes_far_from_their_weight_are_named_under_a_fresh_digest(spoil, told, residual) -> None:
    plan, rounded = told
    codes = {**rounded.codes, "w1": spoil(rounded.codes["w1"])}
    stored = dataclasses.replace(rounded, codes=codes)
    forged = record_rounding(residual, plan, stored, IMAGES)
    faults = list(rounding_faults(residual, forged, stored))
    assert any("weight w1: output channel" in fault for fault in faults)


def test_a_bias_its_codes_do_not_explain_is_named_under_a_fresh_digest(told, residual) -> None:
    plan, rounded = told
    bias = rounded.biases["b1"] + np.array([0.0, 1.0])
    stored = dataclasses.replace(rounded, biases={**rounded.biases, "b1": bias})
    forged = record_rounding(residual, plan, stored, IMAGES)
    (fault,) = rounding_faults(residual, forged, stored)
    assert fault.startswith("bias b1: channel 1 is ")


def test_a_bias_that_is_no_number_is_named_under_a_fresh_digest(told, residual) -> None:
    plan, rounded = told
    bias = np.array([rounded.biases["b1"][0], np.nan])
    stored = dataclasses.replace(rounded, biases={**rounded.biases, "b1": bias})
    forged = record_rounding(residual, plan, stored, IMAGES)
    (fault,) = rounding_faults(residual, forged, stored)
    assert fault.startswith("bias b1: channel 1 is nan, the float bias ")


def test_a_bias_may_move_as_far_as_changed_codes_can_move_the_output(told, residual) -> None:
    """All of an input at the far end of its range, times what the codes of a channel changed."""
    plan, rounded = told
    index = GraphIndex(equalized_model(residual, plan))
    quant, edge = plan.weights["w1"], plan.edges["feat"]
    restored = rounded.codes["w1"] * quant.scale_array[:, None, None, None]
    changed = np.abs(index.constant("w1").astype(np.float64) - restored).sum(axis=(1, 2, 3))
    furthest = changed * max(map(abs, edge.covered))

    def faults(share: float) -> list[str]:
        bias = index.constant("b1") + furthest * share
        stored = dataclasses.replace(rounded, biases={**rounded.biases, "b1": bias})
        forged = record_rounding(residual, plan, stored, IMAGES)
        return list(rounding_faults(residual, forged, stored))

    assert faults(0.99) == faults(-0.99) == []
    for share in (1.2, -1.2):
        (fault,) = faults(share)
        assert fault.startswith("bias b1: channel ")


@pytest.mark.parametrize(
    ("digests", "nearest", "times"),
    [
        pytest.param({}, {}, 0, id="left out"),
        pytest.param({"w1": ""}, {"w1": "for the test"}, 2, id="rounded and not"),
    ],
)
def test_each_weight_is_recorded_once(digests, nearest, times, told, residual) -> None:
    plan, rounded = told
    kept = {name: digest for name, digest in plan.rounded.digests.items() if name != "w1"}
    named = {name: plan.rounded.digests[name] for name in digests}
    record = dataclasses.replace(plan.rounded, digests=kept | named, nearest=nearest)
    odd = dataclasses.replace(plan, rounded=record)
    stored = stored_weights(residual, odd, emit_qdq(residual, plan, rounded))
    assert list(rounding_faults(residual, odd, stored)) == [
        f"weight w1 is recorded {times} times in the plan's rounding, expected once"
    ]


def test_a_plan_that_says_nothing_of_its_weights_is_not_believed(told, residual) -> None:
    plan, rounded = told
    silent = dataclasses.replace(plan, rounded=None)
    assert list(rounding_faults(residual, silent, RoundedWeights())) == [
        "the plan does not say how its weights were rounded"
    ]
    assert stored_weights(residual, silent, emit_qdq(residual, plan, rounded)).codes == {}
    without = dataclasses.replace(silent, weights={}, zero_points_apart=())
    assert list(rounding_faults(residual, without, RoundedWeights())) == []


def test_a_record_of_a_weight_that_is_not_quantized_is_refused(told, residual) -> None:
    plan, rounded = told
    record = dataclasses.replace(plan.rounded, digests={**plan.rounded.digests, "w0": "0"})
    with pytest.raises(GraphError, match="'w0', which is none of its weights"):
        stored_weights(
            residual,
            dataclasses.replace(plan, rounded=record),
            emit_qdq(residual, plan, rounded),
        )


@pytest.mark.parametrize(
    ("target", "name", "value", "found"),
    [
        ("ort", "w1_quantized", np.zeros((2, 4, 3, 1), np.int8), "int8[2, 4, 3, 1]"),
        ("ort", "w1_quantized", np.zeros((2, 4, 3, 3), np.uint8), "uint8[2, 4, 3, 3]"),
        ("ort", "b1_quantized", np.zeros(3, np.int32), "int32[3]"),
        ("ort", "b1_quantized", np.zeros(2, np.int64), "int64[2]"),
        ("openvino", "b1_refined", np.zeros((2, 1), np.float32), "float32[2, 1]"),
        ("openvino", "b1_refined", np.zeros(2, np.float16), "float16[2]"),
    ],
    ids=["codes' shape", "type", "bias' shape", "type ", "float bias' shape", "type  "],
)
def test_a_file_that_holds_something_else_is_refused(  # noqa: PLR0917  # fixtures
    target, name, value, found, residual, residual_table, probes
) -> None:
    plan, rounded = chosen(residual, residual_table, probes(residual), target)
    quantized = emit_qdq(residual, plan, rounded)
    (tensor,) = [t for t in quantized.graph.initializer if t.name == name]
    tensor.CopyFrom(numpy_helper.from_array(value, name))
    with pytest.raises(GraphError, match=re.escape(f"initializer {name!r} is {found}, expected")):
        stored_weights(residual, plan, quantized)
    quantized.graph.initializer.remove(tensor)
    with pytest.raises(GraphError, match=f"the file holds no initializer {name!r}"):
        stored_weights(residual, plan, quantized)


def test_a_bias_that_fp16_takes_for_zero_is_no_fault(residual, residual_table, probes) -> None:
    """Codes that are exact explain no move: what is left is fp16's own rounding."""
    plan, rounded = chosen(residual, residual_table, probes(residual), "tensorrt")
    quant = plan.weights["w1"]
    exact = {"w1": rounded.codes["w1"] * quant.scale_array[:, None, None, None], "b1": [1e-8, 0.0]}
    model = onnx.ModelProto()
    model.CopyFrom(equalized_model(residual, plan))
    for tensor in model.graph.initializer:
        if tensor.name in exact:
            value = np.asarray(exact[tensor.name], np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    original, allowed = bias_room(GraphIndex(model), plan, "w1", rounded.codes["w1"])
    stored = on_stored_grid(GraphIndex(model), plan, "w1", "b1", original)
    assert stored[0] == 0.0 != original[0]
    assert np.all(np.abs(stored - original) <= allowed)
