"""The emitted QDQ graph: structure, values against two independent evaluators, size."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from calib.errors import StaleTableError
from calib.graph import GraphIndex
from calib.runtime import Session
from calib.widen import reference_graph
from quant.numerics.affine import dequantize, quantize
from quant.plan import QuantOptions
from quant.targets import PROFILES
from tests.quant.by_model import emit_qdq, equalized_model, make_plan, with_zero_points_apart

TARGETS = sorted(PROFILES)


def reference(model: onnx.ModelProto) -> ReferenceEvaluator:
    """Return ONNX's own evaluator, which has DequantizeLinear from opset 19 on."""
    promoted = onnx.ModelProto()
    promoted.CopyFrom(model)
    promoted.opset_import[0].version = 21
    promoted.ir_version = 10
    return ReferenceEvaluator(promoted)


def plan_of(model, table, target: str = "ort", **options):
    return make_plan(model, table, PROFILES[target], QuantOptions(**options))


def rms(model: onnx.ModelProto, quantized: onnx.ModelProto, picture: np.ndarray) -> float:
    """Return the root mean square between what both draw, within [0, 1]."""
    drawn, expected = (
        np.clip(Session(m, optimized=False, threads=1).run({"input": picture})["output"], 0, 1)
        for m in (quantized, model)
    )
    return float(np.sqrt(np.mean(np.square(drawn - expected, dtype=np.float64))))


# Largest found over targets and both graphs: 0.0061 and 0.0083.
RMS_LIMIT = {False: 0.007, True: 0.01}


@pytest.mark.parametrize("full_integer", [False, True], ids=["default", "full-integer"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["residual", "compact"])
def test_onnx_reference_evaluator_agrees_with_onnxruntime(
    name, target, full_integer, request, probes
) -> None:
    model, table = request.getfixturevalue(name), request.getfixturevalue(f"{name}_table")
    emitted = emit_qdq(model, plan_of(model, table, target, full_integer=full_integer))
    onnx.checker.check_model(emitted, full_check=True)
    session = Session(emitted, optimized=False, threads=1)
    evaluator = reference(reference_graph(emitted))
    for picture in probes(model, 1):
        ours = session.run({"input": picture})["output"]
        (expected,) = evaluator.run(None, {"input": picture})
        # Sums in another order can move a value over a rounding boundary: one step of the
        # coarsest grid, in few places.
        assert np.mean(np.abs(ours - expected) > 1e-4) < 0.02
        assert rms(model, emitted, picture) < RMS_LIMIT[full_integer]


@pytest.mark.parametrize("full_integer", [False, True], ids=["default", "full-integer"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_wrong_weight_draws_a_picture_beyond_the_limit(
    target, full_integer, compact, compact_table, probes
) -> None:
    """The limits above tell a right picture from a wrong one."""
    plan = plan_of(compact, compact_table, target, full_integer=full_integer)
    emitted = emit_qdq(compact, plan)
    (picture,) = probes(compact, 1)
    (scale,) = [t for t in emitted.graph.initializer if t.name == "w1_scale"]
    right = numpy_helper.to_array(scale)
    wrong = (right * np.float32(1.1)).astype(right.dtype)
    scale.CopyFrom(numpy_helper.from_array(wrong, scale.name))
    assert rms(compact, emitted, picture) > 1.5 * RMS_LIMIT[full_integer]


def test_body_computes_what_the_formulas_say(residual, residual_table, probes, exposed) -> None:
    """The dense block by hand: quantize, convolve exactly in integers, dequantize."""
    plan = plan_of(residual, residual_table, "ort")
    index = GraphIndex(equalized_model(residual, plan))
    emitted = exposed(emit_qdq(residual, plan), ("feat", "pre1_dequantized"))
    (picture,) = probes(residual, 1)
    found = Session(emitted, optimized=False, threads=1).run({"input": picture})
    data, before = plan.edges["feat"], plan.edges["pre1"]
    codes = quantize(found["feat"], data.scale, data.zero_point, data.integer)
    weight = plan.weights["w1"]
    weight_codes = np.rint(index.constant("w1") / weight.scale_array[:, None, None, None])
    weight_codes = weight_codes.clip(-127, 127).astype(np.int64)
    steps = np.float32(data.scale) * weight.scale_array
    bias = np.rint(index.constant("b1") / steps).astype(np.int64)
    padded = np.pad(codes[0].astype(np.int64) - data.zero_point, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    accumulated = np.einsum("chwyx,ocyx->ohw", windows, weight_codes) + bias[:, None, None]
    convolved = (accumulated * steps.astype(np.float64)[:, None, None]).astype(np.float32)
    expected = dequantize(
        quantize(convolved, before.scale, before.zero_point, before.integer),
        before.scale,
        before.zero_point,
    )
    off = np.abs(found["pre1_dequantized"][0] - expected)
    assert off.max() <= before.scale * 1.001
    assert np.mean(off > 1e-6) < 0.01


@pytest.mark.parametrize(("target", "folded"), [("ort", False), ("tensorrt", True)])
def test_a_residual_scale_is_gone_or_scales_each_channel(
    target, folded, residual, residual_table
) -> None:
    plan = make_plan(residual, residual_table, PROFILES[target], QuantOptions())
    index = GraphIndex(emit_qdq(residual, plan))
    producer = index.producer("scaled")
    assert (producer is None) is folded
    addition = next(node for node in index.nodes if node.name == "sum")
    if folded:
        assert addition.input[0] == "branch"
        assert index.initializer("fifth") is None
    else:
        assert producer.input[0] == "branch_dequantized"
        factors = np.array(plan.equalization["branch"]) / np.array(plan.equalization["feat"])
        scales = index.initializer("fifth")
        assert scales.shape == (4, 1, 1)
        np.testing.assert_allclose(scales.reshape(-1), 0.2 * factors, rtol=1e-6)


@pytest.mark.parametrize(("target", "apart"), [("ort", False), ("ort", True), ("openvino", False)])
def test_joining_codes_gives_the_same_picture_with_fewer_nodes(  # fixtures
    target, apart, residual, residual_table, probes
) -> None:
    plan = plan_of(residual, residual_table, target)
    assert plan.integer_concats == ("cat",)
    if apart:
        plan = with_zero_points_apart(plan)
    joined, paired = emit_qdq(residual, plan), emit_qdq(residual, replace(plan, integer_concats=()))
    node = next(node for node in joined.graph.node if node.name == "cat")
    apart = bool(plan.zero_points_apart)
    tail = "padded_1_1_1_1" if apart else "quantized"
    assert list(node.input) == [f"feat_{tail}", f"x1_{tail}"]
    index = GraphIndex(joined)
    assert [reader.op_type for reader in index.consumers(node.output[0])] == ["DequantizeLinear"]
    assert index.producer("x1_dequantized") is None  # nothing would read it
    if not apart:
        assert len(paired.graph.node) - len(joined.graph.node) == 2
    for picture in probes(residual, 3):
        feed = {"input": picture}
        found, expected = (
            Session(model, optimized=False, threads=1).run(feed)["output"]
            for model in (joined, paired)
        )
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("target", TARGETS)
def test_names_order_and_bytes_are_fixed(target, residual, residual_table) -> None:
    plan = plan_of(residual, residual_table, target)
    first, second = emit_qdq(residual, plan), emit_qdq(residual, plan)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
    names = [node.name for node in first.graph.node]
    assert len(names) == len(set(names))
    assert {"feat_QuantizeLinear", "feat_DequantizeLinear", "w1_DequantizeLinear"} <= set(names)
    assert {"x1_scale", "x1_zero_point"} <= {t.name for t in first.graph.initializer}
    assert not first.metadata_props
    assert [i.name for i in first.graph.input] == ["input"]
    assert [o.name for o in first.graph.output] == ["output"]
    index = GraphIndex(first)
    assert all(index.shape(name) is not None for node in index.nodes for name in node.output)


def test_sixteen_bits_raise_the_opset(residual, residual_table) -> None:
    narrow = emit_qdq(residual, plan_of(residual, residual_table, "ort"))
    wide = emit_qdq(residual, plan_of(residual, residual_table, "qnn-w8a16"))
    assert narrow.opset_import[0].version == 17
    assert wide.opset_import[0].version == 21
    types = {
        node.output[0]: GraphIndex(wide).element_type(node.output[0])
        for node in wide.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert {"feat_quantized", "joined_quantized", "pre1_quantized"} <= set(types)
    assert set(types.values()) == {onnx.TensorProto.UINT16}


def test_float_graph_and_plan_are_left_alone(residual, residual_table) -> None:
    before = residual.SerializeToString(deterministic=True)
    emit_qdq(residual, plan_of(residual, residual_table, "qnn"))
    assert residual.SerializeToString(deterministic=True) == before


def test_plan_of_another_graph_is_refused(residual, compact, residual_table) -> None:
    with pytest.raises(StaleTableError, match="make a plan of this network"):
        emit_qdq(compact, plan_of(residual, residual_table, "ort"))


def test_onnxruntime_runs_the_body_in_integers(residual, residual_table, tmp_path) -> None:
    saved = tmp_path / "optimized.onnx"
    emitted = emit_qdq(residual, plan_of(residual, residual_table, "ort"))
    Session(emitted, optimized=True, threads=1, save_optimized=saved)
    kinds = Counter(node.op_type for node in onnx.load(saved).graph.node)
    assert kinds["QLinearConv"] == 2
    assert kinds["QLinearLeakyRelu"] == 1
    assert kinds["Concat"] == 1
    assert kinds["DequantizeLinear"] == 1  # before the residual addition


@pytest.mark.slow
def test_all_dense_convolutions_of_anime_6b_run_in_integers(
    anime_float_path, calibrated_anime, tmp_path
) -> None:
    model = onnx.load(anime_float_path)
    emitted = emit_qdq(model, plan_of(model, calibrated_anime, "ort"))
    share = emitted.ByteSize() / model.ByteSize()
    assert share <= 0.28
    saved = tmp_path / "optimized.onnx"
    Session(emitted, optimized=True, save_optimized=saved)
    integer = [node for node in onnx.load(saved).graph.node if node.op_type == "QLinearConv"]
    # A fused node reads the codes of the weight it had: its name tells which convolution it was.
    dense = {name for node in integer for name in node.input if "rdb" in name and "weight" in name}
    assert len({name.split(".weight")[0] for name in dense}) == 90
