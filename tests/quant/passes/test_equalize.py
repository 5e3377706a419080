"""The same network after rescaling, bit for bit by whole octaves; channels of equal size."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from calib.calibrate import calibrate
from calib.errors import CalibrationError, GraphError
from calib.graph import GraphIndex
from calib.runtime import Session
from calib.sample import sample_patches
from quant.passes.equalization_sets import channel_classes
from quant.passes.equalize import equalize, equalized_tensors
from quant.passes.rescale import Equalized, rescale
from tests.quant.by_model import prove_equal
from tests.real_network import REAL_SIZE

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def chain(body: str, declared: str = "", joined: int = 4) -> str:
    """Two convolutions with ``body`` between ``made`` and ``read``, of ``joined`` channels."""
    return f"""{HEADER}
chain (float[1,3,6,6] input) => (float[1,3,6,6] output)
<float[4,3,3,3] w0, float[4] b0, float[3,{joined},3,3] w1, float[3] b1{declared}>
{{
  [first] made = Conv<pads=[1,1,1,1]>(input, w0, b0)
  {body}
  [last] output = Conv<pads=[1,1,1,1]>(read, w1, b1)
}}
"""


ABSORBED = {
    "leaky": chain("[m] read = LeakyRelu<alpha=0.2>(made)"),
    "relu": chain("[m] read = Relu(made)"),
    "prelu": chain("[m] read = PRelu(made, slope)", ", float[4,1,1] slope"),
    "constant": chain("[m] read = Mul(made, k)", ", float k = {-0.3}"),
    "sum": chain("[a] act = LeakyRelu(made)\n  [m] read = Add(act, made)"),
    "joined": chain("[a] act = LeakyRelu(made)\n  [m] read = Concat<axis=1>(act, made)", joined=8),
    "negative axis": chain("[m] read = Concat<axis=-3>(made, made)", joined=8),
    "no bias": chain("[i] same = Identity(made)\n  [m] read = Conv(same, v)", ", float[4,4,1,1] v"),
    "nearest": chain(
        '[m] read = Resize<mode="nearest">(made, , s)', ", float[4] s = {1.0, 1.0, 1.0, 1.0}"
    ),
}

# Operators that keep no factor, and operands that cannot take one up.
PINNED = {
    "unknown operator": chain("[m] read = Tanh(made)"),
    "constant offset": chain("[m] read = Add(made, k)", ", float k = {0.3}"),
    "linear resize": chain(
        '[m] read = Resize<mode="linear">(made, , s)', ", float[4] s = {1.0, 1.0, 1.0, 1.0}"
    ),
    "broadcast sum": chain(
        "[g] grey = Conv(input, v)\n  [m] read = Add(made, grey)", ", float[1,3,1,1] v"
    ),
    "two tensors multiplied": chain("[m] read = Mul(made, made)"),
    "a constant for each place": chain("[m] read = Mul(made, k)", ", float[1,1,6] k"),
    "rows joined": chain(
        "[c] twice = Concat<axis=2>(made, made)\n  [m] read = MaxPool<kernel_shape=[2,1], "
        "strides=[2,1]>(twice)"
    ),
    "grouped": chain("[m] read = Conv<group=2>(made, v)", ", float[4,2,1,1] v"),
    "shared weight": chain(
        "[m] middle = Conv(made, v)\n  [n] read = Conv(middle, v)", ", float[4,4,1,1] v"
    ),
    "weight shared with an activation": chain(
        "[m] read = PRelu(made, b0_)\n  [z] unused = Relu(b0)", ", float[4,1,1] b0_"
    ),
    "graph output": f"""{HEADER}
two (float[1,3,6,6] input) => (float[1,4,6,6] made, float[1,3,6,6] output)
<float[4,3,3,3] w0, float[4] b0, float[3,4,3,3] w1, float[3] b1>
{{
  [first] made = Conv<pads=[1,1,1,1]>(input, w0, b0)
  [last] output = Conv<pads=[1,1,1,1]>(made, w1, b1)
}}
""",
}

Observe = Callable[[onnx.ModelProto], dict[str, np.ndarray]]


@pytest.fixture
def magnitudes(exposed: Callable, probes: Callable) -> Observe:
    """Model to the channel magnitudes that equalization asks for, over seeded pictures."""

    def observe(model: onnx.ModelProto) -> dict[str, np.ndarray]:
        names = equalized_tensors(model)
        session = Session(exposed(model, names), optimized=False, threads=1)
        runs = [session.run({"input": picture}) for picture in probes(model)]
        return {name: np.max([np.abs(run[name]) for run in runs], (0, 1, 3, 4)) for name in names}

    return observe


def assert_same_network(model: onnx.ModelProto, result: Equalized, inputs: list) -> None:
    """Same nodes and names, valid, and equal outputs to the last bit."""
    assert list(result.model.graph.node) == list(model.graph.node)
    names = [tensor.name for tensor in result.model.graph.initializer]
    assert names == [tensor.name for tensor in model.graph.initializer]
    onnx.checker.check_model(result.model, full_check=True)
    assert prove_equal(model, result.model, inputs).max_abs_error == 0.0


@pytest.mark.parametrize("name", ABSORBED)
def test_a_rescaled_graph_computes_the_same_bits(
    name: str, parsed: Callable, probes: Callable
) -> None:
    model = parsed(ABSORBED[name])
    before = model.SerializeToString(deterministic=True)
    spread = {
        tensor: 2.0 ** np.arange(0.0, 2.0 * len(classes), 2.0)
        for tensor in equalized_tensors(model)
        for classes in [channel_classes(GraphIndex(model)).of[tensor]]
    }
    result = equalize(model, spread, trunk=1.0, steps_per_octave=1)
    assert any((factors != 1.0).any() for factors in result.factors.values())
    assert_same_network(model, result, probes(model))
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("name", PINNED)
def test_what_keeps_no_factor_is_left_alone(name: str, parsed: Callable) -> None:
    model = parsed(PINNED[name])
    assert not channel_classes(GraphIndex(model)).free("made").any()
    assert "made" not in equalized_tensors(model)


def test_tensors_that_a_convolution_makes_are_equalized(residual: onnx.ModelProto) -> None:
    assert equalized_tensors(residual) == ("feat", "pre1", "branch", "large", "pre_up")


def test_a_residual_scale_gives_each_channel_its_own_constant(
    residual: onnx.ModelProto, magnitudes: Observe, probes: Callable
) -> None:
    before = magnitudes(residual)
    before["branch"] = np.array([1.0, 8.0, 64.0, 8.0], np.float32)
    result = equalize(residual, before, trunk=0.0)
    assert result.factors["branch"].tolist() == [2.0**-3, 1.0, 2.0**3, 1.0]
    scales = GraphIndex(result.model).initializer("fifth")
    assert scales.tolist() == np.float32(0.2 * np.array([0.125, 1, 8, 1])).reshape(4, 1, 1).tolist()
    assert prove_equal(residual, result.model, probes(residual)).psnr_db > 120.0
    again = equalize(result.model, magnitudes(result.model), trunk=0.0)
    assert prove_equal(residual, again.model, probes(residual)).psnr_db > 120.0


@pytest.mark.parametrize("trunk", [0.0, 0.5, 1.0], ids=["growth", "trunk half way", "trunk"])
def test_growth_channels_reach_the_size_of_the_trunk(
    trunk: float, residual: onnx.ModelProto, magnitudes: Observe, probes: Callable
) -> None:
    result = equalize(residual, magnitudes(residual), trunk=trunk, steps_per_octave=8)
    assert ("feat" in result.factors) is (trunk > 0.0)
    assert prove_equal(residual, result.model, probes(residual)).psnr_db > 120.0
    after = magnitudes(result.model)
    distance = np.log2(after["pre1"] / after["feat"].max())
    # Half a step for the growth channel's rounding, half for the trunk's.
    assert np.abs(distance).max() <= 0.125 + 1e-5


def test_a_tail_tensor_becomes_even_and_keeps_its_size(
    residual: onnx.ModelProto, magnitudes: Observe
) -> None:
    before = magnitudes(residual)
    before["pre_up"] = np.array([1.0, 8.0, 64.0, 8.0], np.float32)
    factors = equalize(residual, before).factors["pre_up"]
    assert factors.tolist() == [2.0**-3, 1.0, 2.0**3, 1.0]


def test_prelu_chains_are_equalized(
    compact: onnx.ModelProto, magnitudes: Observe, probes: Callable
) -> None:
    result = equalize(compact, magnitudes(compact), chain=1.0, steps_per_octave=8)
    assert prove_equal(compact, result.model, probes(compact)).psnr_db > 120.0
    assert equalized_tensors(compact) == ("c0", "c1")
    for name, seen in magnitudes(result.model).items():
        assert np.log2(seen.max() / seen.min()) <= 0.125 + 1e-5, name


@pytest.mark.parametrize("silence", [0.0, 1e-9], ids=["silent", "nearly silent"])
def test_a_dead_channel_keeps_its_scale(
    silence: float, compact: onnx.ModelProto, magnitudes: Observe
) -> None:
    before = magnitudes(compact)
    before["c0"] = np.array([silence, 1.0, 4.0, 2.0], np.float32)
    factors = equalize(compact, before, chain=1.0).factors["c0"]
    assert factors.tolist() == [1.0, 0.5, 2.0, 1.0]


def test_a_network_without_trunk_is_equalized_three_quarters_of_the_way(
    compact: onnx.ModelProto, residual: onnx.ModelProto, magnitudes: Observe
) -> None:
    spread = np.array([1.0, 16.0, 256.0, 16.0], np.float32)
    chain = equalize(compact, {**magnitudes(compact), "c0": spread})
    assert chain.factors["c0"].tolist() == [2.0**-3, 1.0, 2.0**3, 1.0]
    behind_trunk = equalize(residual, {**magnitudes(residual), "pre_up": spread})
    assert behind_trunk.factors["pre_up"].tolist() == [2.0**-4, 1.0, 2.0**4, 1.0]


def test_a_dead_tensor_keeps_its_scale(compact: onnx.ModelProto, magnitudes: Observe) -> None:
    before = magnitudes(compact)
    before["c0"] = np.zeros(4, np.float32)
    assert "c0" not in equalize(compact, before).factors


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_magnitudes_keep_every_bit(
    seed: int, residual: onnx.ModelProto, probes: Callable
) -> None:
    generator = np.random.default_rng(seed)
    of = channel_classes(GraphIndex(residual)).of
    wild = {
        name: generator.choice([0.0, 1.0], len(of[name]), p=[0.1, 0.9])
        * np.exp2(generator.normal(0.0, 12.0, len(of[name])))
        for name in equalized_tensors(residual)
    }
    result = equalize(residual, wild, trunk=1.0, steps_per_octave=1)
    assert_same_network(residual, result, probes(residual)[:1])
    for factors in result.factors.values():
        assert np.abs(np.log2(factors)).max() <= 12.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "needs the channel magnitudes of tensor 'c0'"),
        (np.ones(3, np.float32), r"have shape \[3\]; expected \[4\]"),
        (np.full(4, np.nan, np.float32), "all finite"),
    ],
    ids=["missing", "length", "NaN"],
)
def test_unusable_magnitudes_are_refused(
    values: np.ndarray | None, message: str, compact: onnx.ModelProto, magnitudes: Observe
) -> None:
    given_ = {**magnitudes(compact), "c0": values}
    if values is None:
        del given_["c0"]
    with pytest.raises(CalibrationError, match=message):
        equalize(compact, given_)


def test_only_weights_biases_and_residual_scales_change(
    residual: onnx.ModelProto, magnitudes: Observe, parsed: Callable
) -> None:
    result = equalize(residual, magnitudes(residual)).model
    changed = {
        old.name
        for old, new in zip(residual.graph.initializer, result.graph.initializer, strict=True)
        if not np.array_equal(numpy_helper.to_array(old), numpy_helper.to_array(new))
    }
    assert "fifth" in changed
    assert all(name[0] in "wb" for name in changed - {"fifth"})


@pytest.mark.slow
def test_the_real_network_stays_the_same(anime_float_path: object, probe_patch: np.ndarray) -> None:
    model = onnx.load(anime_float_path)
    names = equalized_tensors(model)
    table = calibrate(model, names, sample_patches("calibration", 1, REAL_SIZE))
    magnitudes = {name: table.tensors[name].channels.abs_max for name in names}
    exact = equalize(model, magnitudes, steps_per_octave=1)
    assert prove_equal(model, exact.model, [probe_patch]).max_abs_error == 0.0
    result = equalize(model, magnitudes, steps_per_octave=8)
    assert len(result.factors) > 72
    assert prove_equal(model, result.model, [probe_patch]).psnr_db > 120.0


def test_recorded_factors_rescale_to_the_same_bytes(residual, magnitudes) -> None:
    result = equalize(residual, magnitudes(residual))
    record = {name: tuple(map(float, found)) for name, found in result.factors.items()}
    again = rescale(residual, record)
    assert again.model == result.model
    assert again.tensors.keys() == result.tensors.keys()
    assert rescale(residual, {}).model == residual


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f | {"x1": (1.0,)}, "channels to rescale"),
        (lambda f: f | {"pre1": (0.0,) * len(f["pre1"])}, "positive number"),
        (lambda f: f | {"scaled": (2.0,) * 4}, "contradict"),
        (lambda f: f | {"output": (2.0,) * 3}, "contradict"),
    ],
    ids=["no convolution", "zero", "sum without its operand", "pinned"],
)
def test_factors_that_do_not_fit_are_refused(spoil, message, residual, magnitudes) -> None:
    result = equalize(residual, magnitudes(residual))
    record = {name: tuple(map(float, found)) for name, found in result.factors.items()}
    with pytest.raises(GraphError, match=message):
        rescale(residual, spoil(record))
