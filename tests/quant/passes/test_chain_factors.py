"""Factors of chains: which networks and targets have them, which way round, and what they bring."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pytest

from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant import planner
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.numerics import channel_factors
from quant.numerics.grids import Grids
from quant.passes.chain_factors import chain_factors
from quant.passes.rescale import rescale
from quant.plan import QuantOptions
from quant.targets import PROFILES
from tests.quant.by_model import make_plan, prove_equal

GRIDS = Grids(symmetric=False, before_activation=True)


def distributions(model: onnx.ModelProto, table: CalibrationTable) -> TensorDistributions:
    return TensorDistributions(ObservationRules(Topology(GraphIndex(model))), table.tensors)


@pytest.mark.parametrize("options", [{}, {"full_integer": True}, {"equalization": "none"}], ids=str)
@pytest.mark.parametrize("network", ["compact", "residual"])
@pytest.mark.parametrize("target", PROFILES)
def test_chains_in_8_bits_have_them(  # fixtures
    target: str,
    network: str,
    options: Mapping[str, object],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model: onnx.ModelProto = request.getfixturevalue(network)
    table: CalibrationTable = request.getfixturevalue(f"{network}_table")
    asked: list[bool] = []

    def told(*args: object, turn: bool, **others: object) -> dict | None:
        found = chain_factors(*args, turn=turn, **others)
        asked.extend([turn] if found is not None else [])
        return found

    monkeypatch.setattr(planner, "chain_factors", told)
    profile = PROFILES[target]
    plan = make_plan(model, table, profile, QuantOptions(**options))
    expected = (
        network == "compact"
        and plan.options.equalization == "all"
        and profile.convolution == "int8"
    )
    assert bool(asked) == expected
    quantized = {name for constant in plan.constants.values() for name in constant.readers}
    slopes = {node.name for node in model.graph.node if node.op_type == "PRelu"}
    if asked:
        assert asked[0] == (not quantized & slopes)
    if not any(asked):
        assert all(factor > 0.0 for found in plan.equalization.values() for factor in found)


def test_channels_that_are_mostly_negative_are_turned_round(
    compact: onnx.ModelProto, calibrated: Callable, probes: Callable
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    for tensor in model.graph.initializer:
        if tensor.name == "b0":
            values = np.array([-3.0, 0.0, -3.0, 3.0], np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, "b0"))
        if tensor.name == "slope0":
            steep = np.array([0.9, 0.5, 1.5, 0.9], np.float32).reshape(4, 1, 1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(steep, "slope0"))
    seen = distributions(model, calibrated(model))
    turned = chain_factors(seen, GRIDS, float_head=False, turn=True)
    assert (turned["c0"] < 0.0).tolist() == [True, False, True, False]
    assert all(
        (found > 0.0).all()
        for found in chain_factors(seen, GRIDS, float_head=False, turn=False).values()
    )
    result = rescale(model, turned)
    assert prove_equal(model, result.model, probes(model)).psnr_db > 120.0


def test_tensors_keep_their_mean_size(compact: onnx.ModelProto, calibrated: Callable) -> None:
    seen = distributions(compact, calibrated(compact))
    for found in chain_factors(seen, GRIDS, float_head=False, turn=False).values():
        steps = np.log2(found) * channel_factors.STEPS_PER_OCTAVE
        assert steps == pytest.approx(np.rint(steps), abs=1e-9)
        assert abs(steps.mean()) <= 0.5 + 1e-9


def test_a_channel_holds_the_colours_that_calibration_did_not_show(
    compact: onnx.ModelProto, calibrated: Callable
) -> None:
    """A channel that sees one colour alone, which is rare, as large as those of bright and dark."""
    table = calibrated(compact)
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    first = GraphIndex(compact).initializer("w0")
    assert first is not None
    spread = []
    for size in (1.0, 8.0):
        for tensor in model.graph.initializer:
            if tensor.name == "w0":
                weight = first.copy()
                weight -= weight.mean(axis=(2, 3), keepdims=True)  # flat colours are nothing to it
                weight[0, :, 1, 1] += size * np.array([1.0, -2.0, 1.0], np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(weight, "w0"))
        seen = distributions(model, table)  # what calibration saw stays as it was
        found = chain_factors(seen, GRIDS, float_head=True, turn=False)["c0"]
        spread.append(found[0] / found[1:].mean())
    assert spread[1] > 2.0 * spread[0]


@pytest.mark.parametrize("float_head", [True, False])
def test_a_head_in_float_is_rounded_once(
    float_head: bool,
    compact: onnx.ModelProto,
    calibrated: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Grids] = []
    choose = channel_factors.choose_factors

    def kept(channels: channel_factors.Channels, grids: Grids) -> channel_factors.ChannelFactors:
        asked.append(grids)
        return choose(channels, grids)

    monkeypatch.setattr("quant.passes.chain_factors.choose_factors", kept)
    seen = distributions(compact, calibrated(compact))
    chain_factors(seen, GRIDS, float_head=float_head, turn=True)
    behind, head = asked
    assert behind == GRIDS
    assert (head == GRIDS) != float_head
    assert head.before_activation != float_head


def test_a_silent_layer_is_left_as_it_is(compact: onnx.ModelProto, calibrated: Callable) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    for tensor in model.graph.initializer:
        if tensor.name in {"w0", "b0"}:
            nothing = np.zeros(tuple(tensor.dims), np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(nothing, tensor.name))
    assert "c0" not in chain_factors(
        distributions(model, calibrated(model)), GRIDS, float_head=False, turn=True
    )


def test_what_reads_several_times_counts_as_often(
    parsed: Callable, calibrated: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two convolutions of half of the rows read what one of all of them reads."""
    whole = parsed(FORKED.format(rows="[w1] m = Conv<pads=[1,1,1,1]>(p, w1)", declared=""))
    seen: list[channel_factors.Channels] = []
    choose = channel_factors.choose_factors

    def kept(channels: channel_factors.Channels, grids: Grids) -> channel_factors.ChannelFactors:
        seen.append(channels)
        return choose(channels, grids)

    monkeypatch.setattr("quant.passes.chain_factors.choose_factors", kept)
    chain_factors(distributions(whole, calibrated(whole)), GRIDS, float_head=False, turn=False)
    halves = parsed(
        FORKED.format(
            rows="""[w1] a = Conv<pads=[1,1,1,1]>(p, w1a)
  [w2] b = Conv<pads=[1,1,1,1]>(p, w1b)
  [cat] m = Concat<axis=1>(a, b)""",
            declared=", float[2,4,3,3] w1a, float[2,4,3,3] w1b",
        )
    )
    values = {t.name: onnx.numpy_helper.to_array(t) for t in whole.graph.initializer}
    values |= {"w1a": values["w1"][:2], "w1b": values["w1"][2:]}
    for tensor in halves.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name], tensor.name))
    chain_factors(distributions(halves, calibrated(halves)), GRIDS, float_head=False, turn=False)
    one, two = seen
    assert two.gains == pytest.approx(one.gains)
    assert np.array_equal(two.largest, one.largest)


FORKED = """<ir_version: 8, opset_import: ["" : 17]>
forked (float[1,3,8,8] input) => (float[1,4,8,8] output)
<float[4,3,3,3] w0, float[4] b0, float[4,1,1] slope0, float[4,4,3,3] w1{declared}>
{{
  [first] c = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [act] p = PRelu(c, slope0)
  {rows}
  [end] output = Identity(m)
}}
"""

LINKED = {
    "a PReLU": ("p = PRelu(c, slope0)", True),
    "a ReLU": ("p = Relu(c)", True),
    "a LeakyReLU": ("p = LeakyRelu<alpha=0.2>(c)", False),
    "nothing": ("p = Identity(c)", False),
    "an enlargement": (
        'q = PRelu(c, slope0)\n  [up] p = Resize<mode="nearest">(q, , scales)',
        False,
    ),
}


@pytest.mark.parametrize("case", LINKED)
def test_which_networks_are_chains(case: str, parsed: Callable, calibrated: Callable) -> None:
    line, expected = LINKED[case]
    size = 16 if case == "an enlargement" else 8
    model = parsed(f"""<ir_version: 8, opset_import: ["" : 17]>
chain (float[1,3,8,8] input) => (float[1,3,{size},{size}] output)
<float[2,3,3,3] w0, float[2] b0, float[2,1,1] slope0, float[3,2,3,3] w1,
 float[4] scales = {{1.0, 1.0, 2.0, 2.0}}>
{{
  [first] c = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [act] {line}
  [last] output = Conv<pads=[1,1,1,1]>(p, w1)
}}
""")
    seen = distributions(model, calibrated(model))
    found = chain_factors(seen, GRIDS, float_head=False, turn=False)
    assert (found is not None) == expected
