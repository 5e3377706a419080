"""Second-order rounding along a network: what it gains and what it keeps."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from threadpoolctl import threadpool_info, threadpool_limits

from calib.calibrate import calibrate
from calib.colours import RGB
from calib.errors import UsageError
from calib.images import to_input
from calib.images_record import ImagesRecord, PatchRecord
from calib.runtime import Session
from calib.sample import sample_patches
from calib.tile import USUAL_SIZE
from quant.analysis.tensor_distributions import observed_tensors
from quant.plan import QuantOptions, QuantPlan
from quant.qdq.int8_weights import RoundedWeights
from quant.rounding.gptq import SecondMoment
from quant.targets import PROFILES
from tests.quant.by_model import (
    emit_qdq,
    equalized,
    make_plan,
    record_rounding,
    round_weights,
    rounding_faults,
)
from tests.real_network import REAL_SIZE

IMAGES = ImagesRecord(
    "folder", "whole", 0, None, 1, USUAL_SIZE, "0" * 64, (PatchRecord("a", "1" * 64),)
)


@pytest.fixture(params=["ort", "qnn", "qnn-w8a16", "tensorrt", "openvino"])
def planned(request, residual, residual_table) -> QuantPlan:
    return make_plan(residual, residual_table, PROFILES[request.param], QuantOptions())


@pytest.fixture
def rounded(planned, residual, residual_table, probes) -> RoundedWeights:
    return round_weights(residual, planned, residual_table, probes(residual), threads=1)


def initializers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_every_planned_weight_is_refined_and_counted(
    planned, residual, residual_table, probes
) -> None:
    steps: list[int] = []
    rounded = round_weights(
        residual,
        planned,
        residual_table,
        probes(residual),
        threads=1,
        on_step=lambda: steps.append(1),
    )
    assert set(rounded.codes) == set(planned.weights)
    assert not rounded.nearest
    assert len(steps) == len(planned.weights)
    assert {name.replace("w", "b") for name in rounded.codes} == set(rounded.biases)


def test_outputs_come_closer_on_the_images_that_decided(
    planned, rounded, residual, probes, exposed
) -> None:
    """Against the plan's own activations: with float weights, only quantized edges are left."""
    tensors = ("branch",)
    reference = Session(exposed(residual, tensors), optimized=False, threads=1)

    def error(weights: RoundedWeights) -> float:
        session = Session(
            exposed(emit_qdq(residual, planned, weights), tensors), optimized=False, threads=1
        )
        return float(
            np.mean(
                [
                    np.square(session.run(feeds)["branch"] - reference.run(feeds)["branch"])
                    for feeds in ({"input": picture} for picture in probes(residual))
                ]
            )
        )

    assert error(rounded) <= error(RoundedWeights()) * 1.02


def test_the_bias_takes_up_what_the_codes_change_in_the_mean(
    residual, residual_table, probes
) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    coarser = {
        name: dataclasses.replace(quant, scales=tuple(2 * scale for scale in quant.scales))
        for name, quant in plan.weights.items()
    }
    plan = dataclasses.replace(plan, weights=coarser)
    rounded = round_weights(residual, plan, residual_table, probes(residual), threads=1)
    given = equalized(residual, plan)
    floats = initializers(given.model)
    quant = plan.weights["w1"]
    restored = rounded.codes["w1"] * quant.scale_array[:, None, None, None]
    changed = (floats["w1"].astype(np.float64) - restored).sum(axis=(2, 3))
    mean = residual_table.tensors["feat"].channel_mean / given.tensors["feat"]
    expected = floats["b1"] + changed @ mean
    step = plan.edges["feat"].scale * quant.scale_array
    assert (np.abs(rounded.biases["b1"] - expected) <= step * 0.51).all()
    assert (np.abs(expected - floats["b1"]) > 2 * step).any(), "nothing to take up, nothing shown"


def test_same_seed_same_codes(planned, rounded, residual, residual_table, probes) -> None:
    again = round_weights(residual, planned, residual_table, probes(residual), threads=2)
    for name, codes in rounded.codes.items():
        np.testing.assert_array_equal(codes, again.codes[name])
    for name, bias in rounded.biases.items():
        np.testing.assert_array_equal(bias, again.biases[name])


def test_no_image_is_refused(planned, residual, residual_table) -> None:
    with pytest.raises(UsageError, match="no image"):
        round_weights(residual, planned, residual_table, [])


def test_a_grouped_convolution_keeps_nearest_codes_with_the_reason(parsed, calibrated) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,4,6,6] input) => (float[1,4,6,6] output)
        <float[4,2,3,3] w0, float[4] b0, float[4,4,3,3] w1>
        {
          [a] s = Conv<pads=[1,1,1,1], group=2>(input, w0, b0)
          [b] output = Conv<pads=[1,1,1,1]>(s, w1)
        }"""
    )
    table = calibrated(model)
    plan = make_plan(model, table, PROFILES["qnn"], QuantOptions())
    picture = np.random.default_rng(0).random((1, 4, 6, 6), dtype=np.float32)
    rounded = round_weights(model, plan, table, [picture], threads=1)
    assert set(rounded.codes) == {"w1"}
    assert rounded.biases == {}  # the second has none, the first is left alone
    assert "2 groups" in rounded.nearest["w0"]
    told = record_rounding(model, plan, rounded, IMAGES)
    assert list(rounding_faults(model, told, rounded)) == []


@pytest.mark.slow
def test_the_real_network_gains(anime_float_path) -> None:
    model = onnx.load(anime_float_path)
    patches = sample_patches("calibration", 2, REAL_SIZE)
    table = calibrate(model, observed_tensors(model), patches)
    plan = make_plan(model, table, PROFILES["ort"], QuantOptions())
    rounded = round_weights(model, plan, table, [to_input(p.load(), RGB) for p in patches.patches])
    feeds = {"input": to_input(sample_patches("verification", 1, REAL_SIZE).patches[0].load(), RGB)}
    expected = Session(model, optimized=True).run(feeds)["output"]

    def parity(weights: RoundedWeights) -> float:
        session = Session(emit_qdq(model, plan, weights), optimized=False)
        return float(-10 * np.log10(np.mean(np.square(session.run(feeds)["output"] - expected))))

    assert parity(rounded) > parity(RoundedWeights()) + 0.3


@pytest.mark.parametrize("given", [1, 2])
def test_blas_has_one_thread_whatever_it_had(
    given: int, residual, residual_table, probes, monkeypatch
) -> None:
    """What a long sum rounds to depends on its threads, and so would the weights."""
    seen: set[int] = set()

    def spy(matrix: np.ndarray) -> SecondMoment:
        libraries = threadpool_info()
        seen.update(item["num_threads"] for item in libraries if item["user_api"] == "blas")
        return SecondMoment(matrix, None)

    monkeypatch.setattr(SecondMoment, "of", spy)
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    with threadpool_limits(given, user_api="blas"):
        round_weights(residual, plan, residual_table, probes(residual), threads=2)
    assert seen == {1}
