"""Networks behind a pixel-unshuffle, in each spelling, on every target, in floats and all integers.

The values that the first convolution reads are the picture's, in other channels: whoever describes
them channel by channel must not take them for the picture's channels.
"""

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.channel_statistics import channel_statistics
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.plan import QuantOptions
from quant.targets import PROFILES
from tests.quant.by_model import emit_qdq, make_plan, round_weights

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
CONVOLUTIONS = """
  [first] feat = Conv<pads=[1,1,1,1]>(cells, w0, b0)
  [act] x = LeakyRelu<alpha=0.2>(feat)
  [last] output = Conv<pads=[1,1,1,1]>(x, w1, b1)
}
"""
SPELLINGS = {
    "SpaceToDepth": """
unshuffled (float[1,3,16,16] input) => (float[1,3,8,8] output)
<float[4,12,3,3] w0, float[4] b0, float[3,4,3,3] w1, float[3] b1>
{
  [cells] cells = SpaceToDepth<blocksize=2>(input)
""",
    "Reshape-Transpose": """
unshuffled (float[1,3,16,16] input) => (float[1,3,8,8] output)
<float[4,12,3,3] w0, float[4] b0, float[3,4,3,3] w1, float[3] b1,
 int64[6] six = {1, 3, 8, 2, 8, 2}, int64[4] four = {1, 12, 8, 8}>
{
  [split] split = Reshape(input, six)
  [turn] turned = Transpose<perm=[0,1,3,5,2,4]>(split)
  [cells] cells = Reshape(turned, four)
""",
}


@pytest.fixture(scope="module", params=SPELLINGS)
def unshuffled(request, parsed) -> onnx.ModelProto:
    model: onnx.ModelProto = parsed(HEADER + SPELLINGS[request.param] + CONVOLUTIONS)
    return model


@pytest.fixture(scope="module")
def table(unshuffled, calibrated):
    return calibrated(unshuffled)


def test_channels_are_those_the_convolution_reads(unshuffled, table, probes, exposed) -> None:
    session = Session(exposed(unshuffled, ("cells",)), optimized=False, threads=1)
    seen = np.concatenate([session.run({"input": p})["cells"] for p in probes(unshuffled)])
    rules = ObservationRules(Topology(GraphIndex(unshuffled)))
    found = channel_statistics(TensorDistributions(rules, table.tensors), "cells")
    np.testing.assert_allclose(found.mean, seen.mean(axis=(0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(found.abs_max, np.abs(seen).max(axis=(0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("full_integer", [False, True])
@pytest.mark.parametrize("target", PROFILES)
def test_every_target_draws_the_network(
    target: str, full_integer: bool, unshuffled, table, probes
) -> None:
    plan = make_plan(unshuffled, table, PROFILES[target], QuantOptions(full_integer=full_integer))
    pictures = probes(unshuffled)
    weights = round_weights(unshuffled, plan, table, pictures, threads=1)
    quantized = Session(emit_qdq(unshuffled, plan, weights), optimized=False, threads=1)
    exact = Session(unshuffled, optimized=False, threads=1)
    for feeds in ({"input": picture} for picture in pictures):
        wanted, found = exact.run(feeds)["output"], quantized.run(feeds)["output"]
        within = np.clip(wanted, 0.0, 1.0)
        assert np.square(np.clip(found, 0.0, 1.0) - within).mean() < 0.02 * np.square(within).mean()
