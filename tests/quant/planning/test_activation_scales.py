"""Scale and zero point of every edge: against what numpy finds in the values themselves."""

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.plan import EdgeQuant, QuantOptions
from quant.planning.activation_scales import EdgePlanner
from quant.planning.qdq_placement import Placement
from quant.targets import find_profile

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
PARTS = ("head", "body", "trunk", "tail")
FLOAT_ENDS = {"head": "float", "body": "int8", "trunk": "float", "tail": "float"}
INTEGER = dict.fromkeys(PARTS, "int8")

# Two 8-bit convolutions between float ends: %s is what stands between the two.
CHAIN = (
    HEADER
    + """
chain (float[1,3,8,8] input) => (float[1,3,8,8] output)
<float[4,3,3,3] w0, float[4,4,3,3] w1, float[4,4,3,3] w2, float[3,4,3,3] w3,
 float[4] scales = {1.0, 1.0, 2.0, 2.0}>
{
  [first] a = Conv<pads=[1,1,1,1]>(input, w0)
  [one] b = Conv<pads=[1,1,1,1]>(a, w1)
  %s
  [two] d = Conv<pads=[1,1,1,1]>(c, w2)
  [up] e = Resize<mode="nearest", coordinate_transformation_mode="asymmetric",
                  nearest_mode="floor">(d, , scales)
  [down] f = Conv<pads=[1,1,1,1], strides=[2,2]>(e, w3)
  [end] output = Identity(f)
}
"""
)


def planned(
    model: onnx.ModelProto,
    table,
    target: str = "ort",
    parts: Mapping[str, str] = FLOAT_ENDS,
    *,
    full_integer: bool = False,
    percentile: float | None = None,
) -> dict[str, EdgeQuant]:
    """Plan the edges of a graph as it stands: nothing folded, nothing equalized."""
    topology = Topology(GraphIndex(model))
    placement = Placement(topology, find_profile(target), parts, {}, full_integer)
    distributions = TensorDistributions(ObservationRules(topology), table.tensors)
    options = QuantOptions(full_integer=full_integer, percentile=percentile)
    edges = EdgePlanner(placement, distributions, options).edges()
    assert list(edges) == [edge.name for edge in placement.edges]
    return edges


def seen(model: onnx.ModelProto, tensor: str, probes, exposed) -> np.ndarray:
    """Return what ``tensor`` holds on the pictures the table was taken on, float64."""
    session = Session(exposed(model, (tensor,)), optimized=False, threads=1)
    made = [session.run({"input": picture})[tensor] for picture in probes(model)]
    return np.concatenate([array.reshape(-1) for array in made]).astype(np.float64)


def loss(values: np.ndarray, edge: EdgeQuant, scale: float, zero_point: int, weight: float):
    """Return the mean squared error of a grid; what it clips counts ``weight`` times."""
    codes = np.rint(values / scale) + zero_point
    kept = np.clip(codes, edge.integer.qmin, edge.integer.qmax)
    low, high = ((q - zero_point) * scale for q in (edge.integer.qmin, edge.integer.qmax))
    clipped = (values < low) | (values > high)
    squared = ((kept - zero_point) * scale - values) ** 2
    return np.mean(squared * np.where(clipped, weight, 1.0))


def least_loss(values: np.ndarray, edge: EdgeQuant, weight: float) -> float:
    """Return the least such error of all grids that hold 0, by trying them."""
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    covering = (high - low) / edge.integer.span
    zero_points = range(edge.integer.qmin, edge.integer.qmax + 1, 4)
    return min(
        loss(values, edge, covering * share, zero_point, weight)
        for share in np.linspace(0.4, 1.1, 36)
        for zero_point in zero_points
    )


def groups(edges: Mapping[str, EdgeQuant]) -> list[set[str]]:
    """Return the sets of edges with the same type, scale and zero point."""
    found: dict[tuple[str, float, int], set[str]] = {}
    for name, edge in edges.items():
        found.setdefault((edge.dtype, edge.scale, edge.zero_point), set()).add(name)
    return list(found.values())


@pytest.mark.parametrize(
    ("target", "parts", "full_integer", "expected"),
    [
        pytest.param("ort", FLOAT_ENDS, False, [{"feat", "x1", "joined"}], id="Concat"),
        pytest.param(
            "openvino",
            INTEGER,
            True,
            [{"input", "output"}, {"feat", "x1", "joined"}, {"trunk", "large"}],
            id="Resize, and both ends",
        ),
        pytest.param(
            "qnn",
            {**INTEGER, "trunk": "int16"},
            False,
            [{"input", "output"}, {"feat", "x1", "joined"}, {"trunk:int8", "large"}],
            id="edges of another width stay apart",
        ),
    ],
)
def test_edges_that_hold_the_same_numbers_share_one_grid(  # noqa: PLR0917  # fixtures
    target, parts, full_integer, expected, residual, residual_table
) -> None:
    edges = planned(residual, residual_table, target, parts, full_integer=full_integer)
    # A pair before a LeakyReLU may lie on the grid behind it; it is no member of the group.
    free = {name: edge for name, edge in edges.items() if not name.startswith("pre")}
    assert [group for group in groups(free) if len(group) > 1] == expected
    for names in expected:
        for name in names - {"input", "output"}:
            assert edges[name].rule.endswith(f", shared by {len(names)} edges")


@pytest.mark.parametrize(
    ("target", "scale"), [("qnn", 1 / 255), ("qnn-w8a16", 1 / 65535)], ids=["8 bits", "16 bits"]
)
@pytest.mark.parametrize("percentile", [None, 99.0], ids=["searched", "percentile"])
def test_the_picture_and_the_output_are_pinned_whatever_was_seen(
    target, scale, percentile, residual, residual_table
) -> None:
    assert residual_table.tensors["output"].histogram.maximum > 1.1
    parts = dict.fromkeys(PARTS, "int8" if target == "qnn" else "int16")
    edges = planned(residual, residual_table, target, parts, percentile=percentile)
    for name in ("input", "output"):
        assert (edges[name].low, edges[name].high, edges[name].rule) == (0.0, 1.0, "pinned")
        assert edges[name].scale == np.float32(scale)
        assert edges[name].zero_point == 0


def test_what_is_joined_with_the_picture_is_pinned_with_it(parsed, calibrated) -> None:
    model = parsed(
        HEADER
        + """g (float[1,3,8,8] input) => (float[1,3,8,8] output)
        <float[2,3,3,3] w0, float[3,5,3,3] w1>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [cat] t = Concat<axis=1>(input, s)
          [b] output = Conv<pads=[1,1,1,1]>(t, w1)
        }"""
    )
    edges = planned(model, calibrated(model), "qnn", INTEGER)
    assert {edges[name].rule for name in ("input", "s", "t")} == {"pinned, shared by 3 edges"}
    assert len(groups(edges)) == 1


def test_a_concat_has_no_say_in_the_grid_of_its_inputs(parsed, calibrated) -> None:
    """Joined twice, a tensor weighs more in what the Concat makes, and not in the grid."""
    template = (
        HEADER
        + """g (float[1,3,8,8] input) => (float[1,2,8,8] output)
        <float[4,3,3,3] w0, float[2,4,3,3] w1, float[2,%d,3,3] w2>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [b] t = Conv<pads=[1,1,1,1]>(s, w1)
          [cat] u = Concat<axis=1>(s, %s)
          [c] v = Conv<pads=[1,1,1,1]>(u, w2)
          [end] output = Identity(v)
        }"""
    )
    once, often = (parsed(template % text) for text in ((6, "t"), (20, ", ".join(["t"] * 8))))
    first, second = (planned(model, calibrated(model)) for model in (once, often))
    assert groups({name: first[name] for name in "stu"}) == [{"s", "t", "u"}]
    for name in "stu":
        assert first[name].same_grid(second[name])


@pytest.mark.parametrize(
    ("between", "parts", "weight"),
    [
        pytest.param("[same] c = Identity(b)", FLOAT_ENDS, 1.0, id="moved: two edges"),
        pytest.param("[act] c = LeakyRelu<alpha=0.2>(b)", FLOAT_ENDS, 1.0, id="activated"),
        pytest.param("[act] c = Sigmoid(b)", FLOAT_ENDS, 10.0, id="made in float"),
        pytest.param("[act] c = Relu(b)", INTEGER, 1.0, id="between integers"),
        pytest.param("[act] c = Relu(b)", FLOAT_ENDS, 1.0, id="between integers, float ends"),
    ],
)
def test_clipping_weighs_more_where_8_bits_border_on_float(  # noqa: PLR0917  # fixtures
    between, parts, weight, parsed, calibrated, probes, exposed
) -> None:
    model = parsed(CHAIN % between)
    edge = planned(model, calibrated(model), parts=parts)["c"]
    assert ("clipping weighs 10" in edge.rule) is (weight > 1.0)
    values = seen(model, "c", probes, exposed)
    if "LeakyRelu" not in between:  # there two roundings are weighed together
        found = loss(values, edge, edge.scale, edge.zero_point, weight)
        assert found <= 1.15 * least_loss(values, edge, weight)


@pytest.mark.parametrize("name", ["a", "d"], ids=["read from float", "read by float"])
def test_the_weight_of_clipping_is_in_what_is_minimized(
    name, parsed, calibrated, probes, exposed
) -> None:
    """The ends of the 8 bits: a wider grid than least squares alone would take."""
    model = parsed(CHAIN % "[act] c = Relu(b)")
    edge = planned(model, calibrated(model))[name]
    assert edge.rule == "least squares, clipping weighs 10"
    values = seen(model, name, probes, exposed)
    weighed = loss(values, edge, edge.scale, edge.zero_point, 10.0)
    assert weighed <= 1.1 * least_loss(values, edge, 10.0)


@pytest.mark.parametrize("percentile", [95.0, 100.0])
def test_a_percentile_is_that_of_the_merged_values_and_holds_zero(
    percentile, residual, residual_table, probes, exposed
) -> None:
    edges = planned(residual, residual_table, percentile=percentile)
    joined = seen(residual, "joined", probes, exposed)
    for names, values in (
        (("feat", "x1", "joined"), np.concatenate([joined, joined])),  # all parts, and the whole
        (("pre1",), seen(residual, "pre1", probes, exposed)),
        (("branch",), seen(residual, "branch", probes, exposed)),
    ):
        low, high = np.percentile(values, [100.0 - percentile, percentile])
        step = edges[names[0]].scale
        for name in names:
            assert edges[name].low == pytest.approx(min(low, 0.0), abs=2 * step)
            assert edges[name].high == pytest.approx(max(high, 0.0), abs=2 * step)
            assert edges[name].covered == pytest.approx(
                (edges[name].low, edges[name].high), abs=step
            )


@pytest.mark.parametrize("alpha", [0.2, 1.0, 0.0, -0.5, 1.5])
def test_a_pair_before_a_leaky_relu_is_chosen_for_what_stands_behind(
    alpha, parsed, calibrated
) -> None:
    """Where its slope cannot be undone its input is observed, and both pairs chosen together."""
    model = parsed(CHAIN % f"[act] c = LeakyRelu<alpha={alpha}>(b)")
    edges = planned(model, calibrated(model))
    undone = 0.0 < alpha <= 1.0
    how = "behind the activation" if undone else "of both pairs around the activation"
    assert edges["b"].rule == f"least squares {how}"
    assert undone or edges["c"].rule == edges["b"].rule
    assert edges["b"].covered == pytest.approx((edges["b"].low, edges["b"].high))


@pytest.mark.parametrize("activation", ["LeakyRelu<alpha=0.2>", "Relu", "Identity"])
@pytest.mark.parametrize("percentile", [None, 99.0], ids=["searched", "percentile"])
def test_no_range_is_narrower_than_the_target_takes(
    activation, percentile, parsed, calibrated
) -> None:
    """A dead convolution gives nothing but zeros: QNN still wants 1e-4."""
    model = parsed(CHAIN % f"[act] c = {activation}(b)")
    for tensor in model.graph.initializer:
        if tensor.name == "w1":
            tensor.raw_data = bytes(len(tensor.raw_data))
    edges = planned(model, calibrated(model), "qnn", INTEGER, percentile=percentile)
    for name in ("b", "c"):
        assert edges[name].scale * 255 >= 1e-4 * (1 - 1e-6)


def test_a_symmetric_target_has_no_zero_points(residual, residual_table) -> None:
    edges = planned(residual, residual_table, "tensorrt", {**FLOAT_ENDS, "trunk": "int8"})
    assert {edge.zero_point for edge in edges.values()} == {0}
    assert {edge.dtype for edge in edges.values()} == {"int8"}
