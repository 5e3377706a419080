"""Channels turned round a PReLU: the same network, other signs; refused where nothing turns."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.channels import ChannelHistograms
from calib.errors import GraphError
from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.channel_statistics import ChannelStatistics
from quant.analysis.tensor_distributions import distribution_of_channels
from quant.passes.rescale import rescale
from quant.passes.reversal import reversible_slopes
from tests.quant.by_model import prove_equal

FACTORS = {
    "all": (-1.0, -2.0, -0.25, -1.0),
    "some": (1.0, -2.0, 0.5, -0.125),
    "none": (1.0, 2.0, 0.5, 4.0),
}
SIGNS = {"positive": (0.1, 0.3, 1.0, 2.0), "both": (-0.5, 0.25, -1.0, 0.1)}


def with_slopes(compact: onnx.ModelProto, slopes: tuple[float, ...]) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    for tensor in model.graph.initializer:
        if tensor.name == "slope0":
            values = np.array(slopes, np.float32).reshape(-1, 1, 1)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


@pytest.mark.parametrize("slopes", SIGNS.values(), ids=SIGNS)
@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
def test_the_network_stays_the_same(
    factors: tuple[float, ...],
    slopes: tuple[float, ...],
    compact: onnx.ModelProto,
    probes: Callable,
    exposed: Callable,
) -> None:
    model = with_slopes(compact, slopes)
    result = rescale(model, {"c0": factors})
    assert list(result.model.graph.node) == list(model.graph.node)
    assert prove_equal(model, result.model, probes(model)).psnr_db > 120.0
    before, after = (
        Session(exposed(m, ("c0", "p0")), optimized=False, threads=1).run(
            {"input": probes(model)[0]}
        )
        for m in (model, result.model)
    )
    for tensor in ("c0", "p0"):
        divided = before[tensor] / result.tensors[tensor].reshape(1, -1, 1, 1)
        np.testing.assert_allclose(after[tensor], divided, rtol=1e-4, atol=1e-5)


def test_recorded_factors_rescale_to_the_same_bytes(compact: onnx.ModelProto) -> None:
    result = rescale(compact, {"c0": FACTORS["some"]})
    record = {name: tuple(map(float, found)) for name, found in result.factors.items()}
    assert record == {"c0": FACTORS["some"]}
    assert rescale(compact, record).model == result.model


def test_turned_back_a_network_is_as_it_was(compact: onnx.ModelProto) -> None:
    model = with_slopes(compact, (0.25, -0.5, 2.0, 1.0))
    once = rescale(model, {"c0": (-1.0, -2.0, -4.0, 1.0)})
    behind = once.tensors["c0"]
    assert rescale(once.model, {"c0": 1.0 / behind}).model == model


BETWEEN = {
    "a slope of 0": "p = PRelu(c, zero)",
    "one slope for all": "p = PRelu(c, one)",
    "a ReLU": "p = Relu(c)",
    "a LeakyReLU": "p = LeakyRelu<alpha=0.2>(c)",
    "no activation": "p = Identity(c)",
    "read elsewhere": "p = PRelu(c, slope0)\n  other = Relu(c)",
    "not read by a convolution": "q = PRelu(c, slope0)\n  p = Relu(q)",
    "shared slopes": "q = PRelu(c, slope0)\n  r = PRelu(q, slope0)\n  p = Identity(r)",
}


def between(text: str) -> str:
    lines = text.split("\n")
    named = "\n".join(f"  [n{number}] {line.strip()}" for number, line in enumerate(lines))
    return f"""<ir_version: 8, opset_import: ["" : 17]>
chain (float[1,3,8,8] input) => (float[1,3,8,8] output)
<float[2,3,3,3] w0, float[2] b0, float[2,1,1] slope0, float[2,1,1] zero = {{0.0, 0.0}},
 float[1] one = {{0.3}}, float[3,2,3,3] w1>
{{
  [first] c = Conv<pads=[1,1,1,1]>(input, w0, b0)
{named}
  [last] output = Conv<pads=[1,1,1,1]>(p, w1)
}}
"""


def test_one_prelu_of_slopes_of_its_own_turns(parsed: Callable, probes: Callable) -> None:
    model = parsed(between("p = PRelu(c, slope0)"))
    (found,) = reversible_slopes(GraphIndex(model))
    assert found.node.input[0] == "c"
    result = rescale(model, {"c": (-1.0, -3.0)})
    assert prove_equal(model, result.model, probes(model)).psnr_db > 120.0


@pytest.mark.parametrize("case", BETWEEN)
def test_all_else_is_refused(case: str, parsed: Callable) -> None:
    model = parsed(between(BETWEEN[case]))
    with pytest.raises(GraphError, match="positive number for each, or a negative one before"):
        rescale(model, {"c": (-1.0, 1.0)})


def test_the_distribution_of_what_is_turned_is_turned() -> None:
    values = np.random.default_rng(0).normal(0.5, 1.0, (1, 2, 4000)).astype(np.float32)
    seen, turned = (
        ChannelHistograms.of(planes, planes.min(axis=(0, 2)), planes.max(axis=(0, 2)))
        for planes in (values, -values)
    )
    factors = np.array([2.0, 0.5])
    found = distribution_of_channels(seen, -factors)
    expected = distribution_of_channels(turned, factors)
    assert (found.minimum, found.maximum) == (expected.minimum, expected.maximum)
    shares = np.linspace(5.0, 100.0, 20)
    for share in shares[shares > 50.0]:
        assert found.percentile_range(share) == pytest.approx(
            expected.percentile_range(share), abs=0.02
        )


def test_magnitudes_of_what_is_turned_stay_positive() -> None:
    seen = ChannelStatistics(np.array([2.0, 3.0]), np.array([0.5, -1.0]), np.array([1.0, 4.0]))
    found = seen.scaled(np.array([-2.0, 0.5]))
    assert found.abs_max.tolist() == [4.0, 1.5]
    assert found.mean.tolist() == [-1.0, -0.5]
    assert found.variance.tolist() == [4.0, 1.0]
