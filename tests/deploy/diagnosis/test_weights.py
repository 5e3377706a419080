"""What was done to weights is named, whatever scaling and rounding came on top of it."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deploy.diagnosis.weights import convolution_weights, weight_fault, weight_faults

Array = NDArray[np.float32]


def weight(outputs: int = 8, inputs: int = 8, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 0.1, (outputs, inputs, 3, 3)).astype(np.float32)


def rounded(value: Array) -> Array:
    """Return the weight as int8 with one scale per output channel restores it."""
    scale = np.abs(value).max(axis=(1, 2, 3), keepdims=True) / np.float32(127)
    return np.rint(value / scale) * scale


SPOILT: dict[str, tuple[Callable[[Array], Array], str]] = {
    "kernels transposed": (lambda w: w.swapaxes(2, 3), "transposed (height and width"),
    "kernels turned": (lambda w: w[:, :, ::-1, ::-1], "turned by 180 degrees"),
    "channels exchanged": (lambda w: w.swapaxes(0, 1), "transposed (input and output channels)"),
    "inputs reversed": (lambda w: w[:, ::-1], "input channels reversed"),
    "outputs reversed": (lambda w: w[::-1], "output channels reversed"),
    "channels last": (
        lambda w: w.transpose(0, 2, 3, 1).reshape(w.shape),
        "transposed (channels last",
    ),
    "scaled": (lambda w: w * np.float32(0.7), "multiplied by 0.7"),
    "scaled by 255": (lambda w: w * 255, "multiplied by 255 (missing / 255)"),
    "another": (lambda w: weight(seed=1) + 0 * w, "nothing in common"),
}


@pytest.mark.parametrize("lossy", [False, True], ids=["exact", "int8"])
@pytest.mark.parametrize("name", SPOILT)
def test_what_was_done_is_named(name: str, lossy: bool) -> None:
    spoil, named = SPOILT[name]
    spoilt = np.ascontiguousarray(spoil(weight())).astype(np.float32)
    found = weight_fault(weight(), rounded(spoilt) if lossy else spoilt)
    assert found is not None
    assert named in found


TURNED = [name for name in SPOILT if not name.startswith("scaled")]


@pytest.mark.parametrize("name", ["sound", *TURNED])
def test_channels_that_are_turned_round_hide_nothing(name: str) -> None:
    """Equalization may negate rows and columns; what was done besides has the same name."""
    spoil, named = SPOILT.get(name, (lambda w: w, ""))
    signs = np.array([1, -1, 1, 1, -1, 1, -1, 1], np.float32)
    turned = weight() * signs.reshape(-1, 1, 1, 1) * signs[::-1].reshape(1, -1, 1, 1)
    found = weight_fault(weight(), np.ascontiguousarray(spoil(turned)).astype(np.float32))
    assert (found is None) == (name == "sound")
    assert named in (found or "")


def test_swapped_colours_are_called_so() -> None:
    for shape, axis in (((8, 3), 1), ((3, 8), 0)):
        value = weight(*shape)
        found = weight_fault(value, np.flip(value, axis))
        assert found is not None
        assert "channels swapped (BGR for RGB)" in found


def test_a_transposed_shape_is_named_and_any_other_is_told() -> None:
    value = weight(4, 8)
    found = weight_fault(value, np.ascontiguousarray(value.swapaxes(0, 1)))
    assert found == "transposed (input and output channels)"
    assert weight_fault(value, value[:2]) == "has shape [2, 8, 3, 3], expected [4, 8, 3, 3]"


def test_what_is_no_number_is_counted() -> None:
    value = weight()
    value[0, 0] = np.nan
    assert weight_fault(weight(), value) == "holds NaN or infinity in 9 of 576"


@given(
    seed=st.integers(0, 1000),
    out_octaves=st.lists(st.integers(-6, 6), min_size=8, max_size=8),
    in_octaves=st.lists(st.integers(-6, 6), min_size=8, max_size=8),
)
def test_equalization_and_fp16_are_no_fault(
    seed: int, out_octaves: list[int], in_octaves: list[int]
) -> None:
    value = weight(seed=seed)
    factors = (
        np.exp2(np.array(out_octaves))[:, None, None, None]
        * np.exp2(np.array(in_octaves))[None, :, None, None]
    )
    moved = (value * factors).astype(np.float32)
    assert weight_fault(value, moved) is None
    assert weight_fault(value, rounded(value)) is None
    assert weight_fault(value, value.astype(np.float16).astype(np.float32)) is None


def test_zeros_are_no_fault() -> None:
    zeros = np.zeros((4, 4, 3, 3), np.float32)
    assert weight_fault(zeros, zeros) is None


def test_most_weights_foreign_is_another_model() -> None:
    own = {f"conv{n}": weight(seed=n) for n in range(4)}
    foreign = {f"conv{n}": weight(seed=n + (10 if n else 0)) for n in range(4)}
    (line,) = weight_faults(own, foreign)
    assert line == (
        "weights of another model: 3 of 4 convolutions have nothing in common with this model's"
    )
    assert weight_faults(own, {**own, "conv3": weight(seed=9)}) == [
        "weight conv3: has nothing in common with this model's"
    ]
    assert weight_faults(own, own) == []
    assert weight_faults(own, {}) == []


def test_weights_are_read_however_they_are_stored() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,4,4] output)
        <float[2,2,1,1] plain = {1, 2, 3, 4}, float16[2,2,1,1] half,
         int8[2,2,1,1] codes = {10, 20, 3, 4}, float[2] scales = {0.1, 1}, int8[2] zero = {0, 0}>
        {
          [a] x = Conv(input, plain)
          [c] wide = Cast<to = 1>(half)
          [b] y = Conv(x, wide)
          [d] restored = DequantizeLinear<axis = 0>(codes, scales, zero)
          [e] z = Conv(y, restored)
          [f] computed = Add(plain, wide)
          [h] output = Conv(z, computed)
        }""")
    half = np.array([1, 2, 3, 4], np.float16).reshape(2, 2, 1, 1)
    model.graph.initializer.append(onnx.numpy_helper.from_array(half, "half"))
    found = convolution_weights(model)
    assert set(found) == {"a", "b", "e"}
    for value in found.values():
        np.testing.assert_allclose(value.ravel(), [1, 2, 3, 4], rtol=1e-6)
