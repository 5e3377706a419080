"""Figures of channels against the tensors themselves, with and without equalization."""

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.channel_statistics import TYPICAL, channel_statistics, relative_magnitudes
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.plan import QuantOptions
from quant.targets import PROFILES
from tests.quant.by_model import equalized, make_plan


def ranges_of(model: onnx.ModelProto, table, factors=None) -> TensorDistributions:
    return TensorDistributions(
        ObservationRules(Topology(GraphIndex(model))), table.tensors, factors or {}
    )


def seen(model: onnx.ModelProto, tensors: tuple[str, ...], probes, exposed) -> dict:
    session = Session(exposed(model, tensors), optimized=False, threads=1)
    runs = [session.run({"input": picture}) for picture in probes(model)]
    return {name: np.concatenate([run[name] for run in runs]) for name in tensors}


@pytest.mark.parametrize("rescaled", [False, True])
def test_figures_are_those_of_what_a_convolution_reads(
    rescaled, residual, residual_table, probes, exposed
) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    given = equalized(residual, plan)
    model, factors = (given.model, given.tensors) if rescaled else (residual, {})
    distributions = ranges_of(model, residual_table, factors)
    convs = [node for node in GraphIndex(model).nodes if node.op_type == "Conv"][1:]
    values = seen(model, tuple(node.input[0] for node in convs), probes, exposed)
    for tensor, array in values.items():
        found = channel_statistics(distributions, tensor)
        np.testing.assert_allclose(found.abs_max, np.abs(array).max(axis=(0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(
            found.mean, array.mean(axis=(0, 2, 3)), atol=1e-5 * found.abs_max.max()
        )
        expected = array.var(axis=(0, 2, 3))
        np.testing.assert_allclose(found.variance, expected, rtol=0.05, atol=1e-9)


def test_an_equalized_distribution_is_that_of_the_rescaled_tensor(
    residual, residual_table, probes, exposed
) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    given = equalized(residual, plan)
    assert given.tensors
    distributions = ranges_of(given.model, residual_table, given.tensors)
    for tensor, array in seen(given.model, tuple(given.tensors), probes, exposed).items():
        found = distributions.distribution(tensor)
        width = float(np.ptp(array))
        assert found.minimum == pytest.approx(float(array.min()), rel=1e-4)
        assert found.maximum == pytest.approx(float(array.max()), rel=1e-4)
        for percentile in (75.0, 95.0, 99.0):
            expected = np.percentile(array, [100 - percentile, percentile])
            low, high = found.percentile_range(percentile)
            assert (low, high) == pytest.approx(tuple(expected), abs=0.03 * width), tensor


def test_a_rare_outlier_does_not_change_how_channels_compare(parsed, calibrated) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,64,64] input) => (float[1,2,64,64] output)
        <float[2,2,1,1] w0 = {1.0, 0.0, 0.0, 1.0}, float[2,2,1,1] w1>
        {
          [a] pre = Conv(input, w0)
          [l] act = LeakyRelu<alpha=0.2>(pre)
          [b] output = Conv(act, w1)
        }"""
    )
    table = calibrated(model)
    before = relative_magnitudes(ranges_of(model, table), "pre")
    values = table.tensors["act"].channels
    assert TYPICAL < 1.0
    promoted = values.maximum.copy()
    promoted[0] *= 1.0000001
    np.testing.assert_allclose(before[0] / before[1], 1.0, atol=0.02)
    largest = np.maximum(values.maximum, -values.minimum / 0.2)
    assert np.log(before).mean() == pytest.approx(np.log(largest).mean())
