"""Weights, constant operands and float weights as fp16: what is planned, and with which numbers."""

import re
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.numerics.saturation_limits import SaturationLimits
from quant.plan import QuantOptions, WeightQuant
from quant.planning.activation_scales import EdgePlanner
from quant.planning.parameters import half_stored_weights, plan_constants, plan_weights
from quant.planning.qdq_placement import Placement
from quant.targets import PROFILES, find_profile

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
FLOAT_ENDS = {"head": "float", "body": "int8", "trunk": "float", "tail": "float"}
INTEGER = dict.fromkeys(FLOAT_ENDS, "int8")
PLAIN = SaturationLimits(32)


def placed(
    model: onnx.ModelProto, target: str, parts: Mapping[str, str], *, full_integer: bool = False
) -> Placement:
    return Placement(Topology(GraphIndex(model)), find_profile(target), parts, {}, full_integer)


def weights_of(
    model: onnx.ModelProto, table, target: str, parts=FLOAT_ENDS, limits: SaturationLimits = PLAIN
) -> tuple[dict[str, WeightQuant], Mapping]:
    """Return the planned weights, and the edges beside them."""
    placement = placed(model, target, parts)
    rules = ObservationRules(placement.topology)
    distributions = TensorDistributions(rules, table.tensors)
    edges = EdgePlanner(placement, distributions, QuantOptions()).edges()
    return plan_weights(placement, edges, limits, distributions), edges


def constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    value = GraphIndex(model).initializer(name)
    assert value is not None
    return value


def replaced(model: onnx.ModelProto, values: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """Return the model with other values in some initializers."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return changed


@pytest.mark.parametrize(
    ("target", "parts", "expected"),
    [
        ("ort", FLOAT_ENDS, {"w1": "b1", "w2": "b2"}),
        ("openvino", FLOAT_ENDS, {"w1": None, "w2": None}),
        ("tensorrt", FLOAT_ENDS, {"w1": None, "w2": None}),
        ("qnn", INTEGER, {f"w{number}": f"b{number}" for number in range(5)}),
        ("ort", {**FLOAT_ENDS, "head": "int8"}, {"w0": "b0", "w1": "b1", "w2": "b2"}),
    ],
    ids=["ort", "openvino", "tensorrt", "qnn", "ort, head in 8 bits"],
)
def test_the_weights_of_integer_convolutions_and_the_biases_the_target_wants(
    target, parts, expected, residual, residual_table
) -> None:
    planned, _ = weights_of(residual, residual_table, target, parts)
    assert {name: quant.bias for name, quant in planned.items()} == expected
    readers = {node.input[1]: node.name for node in residual.graph.node if node.op_type == "Conv"}
    assert {name: quant.node for name, quant in planned.items()} == {n: readers[n] for n in planned}


@pytest.mark.parametrize("bits", [32, 16])
def test_each_output_channel_has_a_scale_below_the_covering_one_by_two_fifths_at_most(
    bits, residual, residual_table, probes, exposed
) -> None:
    limits = SaturationLimits(bits)
    planned, _ = weights_of(residual, residual_table, "ort", limits=limits)
    for name in ("w1", "w2"):
        weight, scales = constant(residual, name), planned[name].scale_array
        assert planned[name].accumulator_bits == bits
        assert scales.shape == weight.shape[:1]
        covering = limits.minmax_scales(weight)
        assert np.all(scales <= covering * (1 + 1e-6))
        assert np.all(scales >= covering * 0.59)  # clipping more gains nothing


def test_a_large_bias_widens_the_scale_until_int32_holds_it(
    residual, residual_table, calibrated
) -> None:
    """Half of int32 is left for what is added to the bias."""
    ordinary, _ = weights_of(residual, residual_table, "ort")
    model = replaced(
        residual, {"w1": constant(residual, "w1") * 1e-9, "b1": np.float32([50.0, 0.0])}
    )
    planned, edges = weights_of(model, calibrated(model), "ort")
    scales = planned["w1"].scale_array.astype(np.float64)
    steps = np.abs(constant(model, "b1")) / (edges["feat"].scale * scales)
    assert steps[0] == pytest.approx(2**30, rel=1e-5)
    assert steps[0] <= 2**30
    # The channel without a bias keeps the scale of its weights.
    assert scales[1] == pytest.approx(ordinary["w1"].scale_array[1] * 1e-9, rel=1e-5)
    floating, _ = weights_of(model, calibrated(model), "openvino")  # stores the bias as it is
    assert floating["w1"].scale_array[0] < scales[0] / 10


def test_the_bias_is_measured_by_the_scale_that_its_own_convolution_reads(
    residual, calibrated
) -> None:
    """Two grids lie on ``feat`` there: 16 bits for the addition, 8 bits for the convolution."""
    model = replaced(residual, {"w1": constant(residual, "w1") * 1e-9})
    planned, edges = weights_of(model, calibrated(model), "qnn", {**INTEGER, "trunk": "int16"})
    assert edges["feat:int16"].scale < edges["feat"].scale / 20
    steps = np.abs(constant(model, "b1")) / (
        edges["feat"].scale * planned["w1"].scale_array.astype(np.float64)
    )
    np.testing.assert_allclose(steps, 2**30, rtol=1e-5)


def two_convolutions(weights: str, second: str) -> str:
    return (
        HEADER
        + f"""g (float[1,4,6,6] input) => (float[1,4,6,6] output) <{weights}>
        {{
          [first] s = Conv<pads=[1,1,1,1]>(input, w0)
          [a] t = Conv<pads=[1,1,1,1]>(s, w1)
          [b] u = {second}
          [end] output = Identity(u)
        }}"""
    )


def test_a_weight_that_two_convolutions_share_is_refused(parsed, calibrated) -> None:
    model = parsed(
        two_convolutions("float[4,4,3,3] w0, float[4,4,3,3] w1", "Conv<pads=[1,1,1,1]>(t, w1)")
    )
    message = "convolutions 'a' and 'b' share the weight 'w1'; give each a weight of its own"
    with pytest.raises(GraphError, match=re.escape(message)):
        weights_of(model, calibrated(model), "ort")


def test_a_grouped_convolution_weighs_its_columns_alike(parsed, calibrated) -> None:
    model = parsed(
        two_convolutions(
            "float[4,4,3,3] w0, float[4,4,3,3] w1, float[4,2,3,3] w2",
            "Conv<pads=[1,1,1,1], group=2>(t, w2)",
        )
    )
    planned, _ = weights_of(model, calibrated(model), "ort")
    assert set(planned) == {"w1", "w2"}
    weight, scales = constant(model, "w2"), planned["w2"].scale_array[:, None, None, None]

    def lost(tried: np.ndarray) -> np.ndarray:
        codes = np.clip(np.rint(weight / tried), -127, 127)
        return np.square(weight - codes * tried).sum(axis=(1, 2, 3))

    covering = PLAIN.minmax_scales(weight)[:, None, None, None]
    assert np.all(lost(scales) <= lost(covering) * (1 + 1e-4))


def test_a_weight_that_is_computed_is_no_weight_to_plan(parsed, calibrated) -> None:
    model = parsed(
        HEADER
        + """g (float[1,1,4,4] input) => (float[1,1,4,4] output) <float[1,1,1,1] w0>
        {
          [first] s = Conv(input, w0)
          [pool] k = GlobalAveragePool(s)
          [a] t = Conv(s, k)
          [end] output = Identity(t)
        }"""
    )
    assert set(weights_of(model, calibrated(model), "ort")[0]) == set()


def test_constants_of_integer_operators_get_one_scale_that_covers_them_and_0(residual) -> None:
    model = replaced(residual, {"fifth": np.float32(0.2)})
    planned = plan_constants(placed(model, "ort", {**FLOAT_ENDS, "trunk": "int8"}))
    assert set(planned) == {"fifth"}
    assert (planned["fifth"].dtype, planned["fifth"].readers) == ("uint8", ("scale",))
    assert planned["fifth"].scale == pytest.approx(0.2 / 255)
    assert planned["fifth"].zero_point == 0


@pytest.mark.parametrize(
    ("target", "dtype", "top"), [("qnn", "uint8", 255), ("qnn-w8a16", "uint16", 65535)]
)
def test_the_slopes_of_a_prelu_where_every_operator_is_quantized(
    target, dtype, top, compact
) -> None:
    precision = "int8" if target == "qnn" else "int16"
    slopes = np.linspace(-0.3, 0.9, 4, dtype=np.float32).reshape(4, 1, 1)
    model = replaced(compact, {"slope0": slopes})
    planned = plan_constants(placed(model, target, dict.fromkeys(FLOAT_ENDS, precision)))
    assert set(planned) == {"slope0", "slope1"}
    assert planned["slope0"].dtype == dtype
    assert planned["slope0"].scale == pytest.approx(1.2 / top)
    assert planned["slope0"].zero_point == round(0.3 / 1.2 * top)


def test_a_constant_that_two_operators_read_is_planned_once(parsed) -> None:
    model = parsed(
        HEADER
        + """g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,3,3] w0, float shift = {-0.5}>
        {
          [conv] s = Conv<pads=[1,1,1,1]>(input, w0)
          [a] t = Add(s, shift)
          [b] output = Mul(t, shift)
        }"""
    )
    planned = plan_constants(placed(model, "qnn", INTEGER))
    assert planned["shift"].readers == ("a", "b")
    assert planned["shift"].scale == pytest.approx(0.5 / 255)
    assert planned["shift"].zero_point == 255


@pytest.mark.parametrize(
    ("target", "parts"),
    [("ort", FLOAT_ENDS), ("tensorrt", INTEGER), ("openvino", INTEGER)],
    ids=["trunk in float", "tensorrt", "openvino"],
)
def test_no_constant_is_planned_where_none_is_read_as_codes(target, parts, residual) -> None:
    assert plan_constants(placed(residual, target, parts)) == {}


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_float_weights_are_halved_only_where_the_target_folds_the_cast(target, residual) -> None:
    halved = half_stored_weights(placed(residual, target, FLOAT_ENDS), {})
    everything = ("w0", "w1", "w2", "w3", "w4")
    assert halved == (everything if target in {"ort", "openvino"} else ())


@pytest.mark.parametrize(
    ("largest", "fits"),
    [(65504.0, True), (-65504.0, True), (65536.0, False), (np.inf, False), (np.nan, False)],
)
def test_a_weight_is_halved_only_if_fp16_holds_it(largest, fits, residual) -> None:
    weight = constant(residual, "w3").copy()
    weight[0, 0, 0, 0] = largest
    placement = placed(replaced(residual, {"w3": weight}), "ort", FLOAT_ENDS)
    quantized = dict.fromkeys(("w1", "w2"), WeightQuant("", (), 32, None))
    assert half_stored_weights(placement, quantized) == (
        ("w0", "w3", "w4") if fits else ("w0", "w4")
    )


def test_a_float_weight_that_two_convolutions_share_is_listed_once(parsed) -> None:
    model = parsed(
        two_convolutions("float[4,4,3,3] w0, float[4,4,3,3] w1", "Conv<pads=[1,1,1,1]>(t, w1)")
    )
    assert half_stored_weights(placed(model, "ort", FLOAT_ENDS), {}) == ("w0", "w1")
