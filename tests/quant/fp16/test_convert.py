"""fp16: what is checked before, what is converted, and that it computes the same picture."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from calib.runtime import Session
from quant.fp16.convert import to_fp16
from quant.fp16.range import check_fp16
from quant.numerics.half import FP16_MAX

AMPLIFIER = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,4,4] input) => (float[1,2,4,4] output)
<float gain = {1e6}, float back = {1e-6}, float[2,2,3,3] w0>
{
  [loud] amplified = Mul(input, gain)
  [quiet] restored = Mul(amplified, back)
  [conv] output = Conv<pads=[1,1,1,1]>(restored, w0)
}"""


def psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    return 10 * math.log10(1.0 / float(np.mean((first - second) ** 2)))


@pytest.mark.parametrize("optimized", [False, True], ids=["meaning", "optimized"])
@pytest.mark.parametrize("name", ["residual", "compact"])
def test_same_picture_with_float32_ends(name, optimized, request, probes) -> None:
    model, table = request.getfixturevalue(name), request.getfixturevalue(f"{name}_table")
    half = to_fp16(model, table)
    ends = {
        info.name: info.type.tensor_type.elem_type
        for info in (*half.graph.input, *half.graph.output)
    }
    assert ends == {"input": TensorProto.FLOAT, "output": TensorProto.FLOAT}
    stored = {t.name: numpy_helper.to_array(t).dtype for t in half.graph.initializer}
    assert stored.pop("scales") == np.float32
    assert set(stored.values()) == {np.dtype(np.float16)}
    for picture in probes(model, 2):
        true = Session(model, optimized=False, threads=1).run({"input": picture})["output"]
        ours = Session(half, optimized=optimized, threads=1).run({"input": picture})["output"]
        assert psnr_db(true, ours) > 55.0


def test_kept_nodes_stay_in_float32(residual, residual_table, probes) -> None:
    half = to_fp16(residual, residual_table, keep=["conv2", "last"])
    index = GraphIndex(half)
    types = {i.name: i.type.tensor_type.elem_type for i in half.graph.value_info}
    assert types["branch"] == TensorProto.FLOAT
    assert types["joined"] == types["scaled"] == TensorProto.FLOAT16
    assert index.initializer("w2").dtype == np.float32
    assert index.initializer("w1_half").dtype == np.float16
    casts = [node.name for node in half.graph.node if node.op_type == "Cast"]
    assert casts == [
        "input_as_half_Cast",
        "joined_as_float_Cast",
        "branch_as_half_Cast",
        "up_out_as_float_Cast",
    ]
    (picture,) = probes(residual, 1)
    true = Session(residual, optimized=False, threads=1).run({"input": picture})["output"]
    ours = Session(half, optimized=False, threads=1).run({"input": picture})["output"]
    assert psnr_db(true, ours) > 55.0


def test_overflow_is_named_before_anything_is_converted(parsed, calibrated) -> None:
    model = parsed(AMPLIFIER)
    table = calibrated(model)
    with pytest.raises(GraphError, match=r"weight 'gain' \(1e\+06\), activation 'amplified'"):
        to_fp16(model, table)
    over = [finding.tensor for finding in check_fp16(model, table) if finding.overflows]
    assert over == ["gain", "amplified"]


def test_overflow_between_kept_nodes_is_no_obstacle(parsed, calibrated, probes) -> None:
    model = parsed(AMPLIFIER)
    half = to_fp16(model, calibrated(model), keep=["loud", "quiet"])
    (picture,) = probes(model, 1)
    true = Session(model, optimized=False, threads=1).run({"input": picture})["output"]
    ours = Session(half, optimized=False, threads=1).run({"input": picture})["output"]
    assert psnr_db(true, ours) > 55.0


def test_weight_that_is_no_number_is_named(residual, residual_table) -> None:
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(residual)
    (weight,) = (t for t in spoilt.graph.initializer if t.name == "w1")
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, "w1"))
    with pytest.raises(GraphError, match="weight 'w1'"):
        to_fp16(spoilt, residual_table)


def test_findings_measure_size_and_subnormals(parsed, calibrated) -> None:
    model = parsed(AMPLIFIER)
    found = {finding.tensor: finding for finding in check_fp16(model, calibrated(model))}
    assert found["back"].subnormal_share == 1.0
    assert found["gain"].headroom == pytest.approx(FP16_MAX / 1e6)
    assert found["restored"].largest == pytest.approx(1.0, rel=0.1)
    assert 0.0 <= found["restored"].subnormal_share < 0.1


def test_unknown_node_to_keep_is_refused(residual, residual_table) -> None:
    with pytest.raises(UsageError, match="no node 'nowhere'"):
        to_fp16(residual, residual_table, keep=["nowhere"])


@pytest.mark.slow
def test_anime_6b_keeps_55_db(anime_float_path, calibrated_anime, probe_patch) -> None:
    model = onnx.load(anime_float_path)
    half = to_fp16(model, calibrated_anime)
    true = Session(model, optimized=True).run({"input": probe_patch})["output"]
    ours = Session(half, optimized=False).run({"input": probe_patch})["output"]
    assert psnr_db(true, ours) > 55.0
