"""Which nodes have to stay in float32, and that they are enough."""

import json
import math

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError, UsageError
from calib.runtime import Session
from quant.fp16.convert import to_fp16
from quant.fp16.range import ASKED, check_fp16, nodes_to_keep, require_nodes
from quant.numerics.half import FP16_MAX

LOUD = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,4,4] input) => (float[1,2,4,4] output)
<float gain = {1e6}, float back = {1e-6}, float[2,2,3,3] w0, float[2,2,3,3] w1>
{
  [before] felt = Conv<pads=[1,1,1,1]>(input, w0)
  [loud] amplified = Mul(felt, gain)
  [turn] moved = Transpose<perm=[0,1,3,2]>(amplified)
  [quiet] restored = Mul(moved, back)
  [after] output = Conv<pads=[1,1,1,1]>(restored, w1)
}"""


def test_all_around_an_overflow_stay_and_no_more(parsed, calibrated, probes) -> None:
    model = parsed(LOUD)
    table = calibrated(model)
    kept = nodes_to_keep(model, table)
    assert list(kept) == ["loud", "turn", "quiet"]
    assert kept["loud"].startswith("overflow: weight 'gain' reaches 1e+06, fp16 ends at 65504")
    assert "activation 'amplified'" in kept["turn"]
    half = to_fp16(model, table, keep=kept)
    assert not any(f.overflows for f in check_fp16(model, table, keep=kept))
    (picture,) = probes(model, 1)
    true = Session(model, optimized=False, threads=1).run({"input": picture})["output"]
    ours = Session(half, optimized=False, threads=1).run({"input": picture})["output"]
    assert 10 * math.log10(np.square(true).mean() / np.square(true - ours).mean()) > 50


def test_a_node_asked_for_stays_with_its_reason(residual, residual_table) -> None:
    assert nodes_to_keep(residual, residual_table) == {}
    assert nodes_to_keep(residual, residual_table, ["last", "conv1"]) == {
        "conv1": ASKED,
        "last": ASKED,
    }


def test_asking_for_one_side_of_an_overflow_keeps_the_other_as_well(parsed, calibrated) -> None:
    model = parsed(LOUD)
    kept = nodes_to_keep(model, calibrated(model), ["loud"])
    assert list(kept) == ["loud", "turn", "quiet"]
    assert kept["loud"] == ASKED


def test_nan_in_a_weight_is_refused(residual, residual_table) -> None:
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(residual)
    (weight,) = (t for t in spoilt.graph.initializer if t.name == "w1")
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, "w1"))
    with pytest.raises(GraphError, match="weight 'w1' holds NaN or infinity"):
        nodes_to_keep(spoilt, residual_table)


def test_a_name_that_no_node_has_is_refused(residual) -> None:
    require_nodes(residual, ["conv1"])
    with pytest.raises(UsageError, match="no node 'nowhere'"):
        require_nodes(residual, ["conv1", "nowhere"])


def test_findings_are_json(residual, residual_table) -> None:
    records = [finding.record() for finding in check_fp16(residual, residual_table)]
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert all(0 < record["largest"] < FP16_MAX for record in records)
