import numpy as np
import pytest
import torch

from deploy.network.architecture import SRVGG, RRDBNet, tensor_shapes
from deploy.network.torch_modules import build_generator, torch_runner

SMALL = RRDBNet(blocks=2, features=6, growth=3)
ALL = [
    SMALL,
    RRDBNet(1, 4, 2, unshuffle=2),
    RRDBNet(1, 4, 2, unshuffle=4),
    *(RRDBNet(1, 4, 2, upsamplings=count) for count in (0, 1, 3)),
    SRVGG(2, 5, 3),
    SRVGG(2, 5, 2, "relu"),
    SRVGG(2, 5, 1, "leaky_relu"),
]


def convolve(x, tensors, name):
    """A 3x3 convolution with zero padding of one, written out in float64 numpy."""
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]


def leaky(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


def enlarge(x, factor):
    return x.repeat(factor, axis=1).repeat(factor, axis=2)


def unshuffle(x, factor):
    """Output channel ``c * f^2 + i * f + j`` holds the pixels ``[c, i::f, j::f]``."""
    offsets = [(i, j) for i in range(factor) for j in range(factor)]
    return np.stack([channel[i::factor, j::factor] for channel in x for i, j in offsets])


def rrdbnet_by_formula(x, sizes, tensors):
    features = trunk = convolve(unshuffle(x, sizes.unshuffle), tensors, "conv_first")
    for block in range(sizes.blocks):
        inner = trunk
        for dense in (1, 2, 3):
            seen = [inner]
            for index in (1, 2, 3, 4):
                name = f"body.{block}.rdb{dense}.conv{index}"
                seen.append(leaky(convolve(np.concatenate(seen), tensors, name)))
            name = f"body.{block}.rdb{dense}.conv5"
            inner = inner + 0.2 * convolve(np.concatenate(seen), tensors, name)
        trunk = trunk + 0.2 * inner
    y = features + convolve(trunk, tensors, "conv_body")
    for index in range(1, sizes.upsamplings + 1):
        y = leaky(convolve(enlarge(y, 2), tensors, f"conv_up{index}"))
    return convolve(leaky(convolve(y, tensors, "conv_hr")), tensors, "conv_last")


def srvgg_by_formula(x, sizes, tensors):
    y = x
    for index in range(sizes.convs + 1):
        y = convolve(y, tensors, f"body.{2 * index}")
        slope = {"relu": 0.0, "leaky_relu": 0.1}.get(sizes.activation)
        if slope is None:
            slope = tensors[f"body.{2 * index + 1}.weight"][:, None, None]
        y = leaky(y, slope)
    y = convolve(y, tensors, f"body.{2 * sizes.convs + 2}")
    s = sizes.scale
    blocks = y.reshape(3, s, s, *x.shape[1:]).transpose(0, 3, 1, 4, 2)
    return blocks.reshape(3, s * x.shape[1], s * x.shape[2]) + enlarge(x, s)


@pytest.mark.parametrize("architecture", ALL, ids=str)
def test_network_computes_its_formula(architecture, random_tensors):
    tensors = random_tensors(architecture)
    x = np.random.default_rng(1).random((1, 3, 8, 12), dtype=np.float32)
    by_formula = rrdbnet_by_formula if isinstance(architecture, RRDBNet) else srvgg_by_formula
    wide = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    expected = by_formula(x[0].astype(np.float64), architecture, wide)
    found = torch_runner(architecture, tensors)(x)
    assert found.dtype == np.float32
    assert found.shape == (1, 3, 8 * architecture.scale, 12 * architecture.scale)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("architecture", ALL, ids=str)
def test_parameters_are_those_of_the_architecture(architecture, random_tensors):
    tensors = random_tensors(architecture)
    generator = build_generator(architecture, tensors)
    state = generator.state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == tensor_shapes(architecture)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(state[name].numpy(), tensor)
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_tensors_are_copied(random_tensors):
    tensors = random_tensors(SMALL)
    before = tensors["conv_last.bias"].copy()
    generator = build_generator(SMALL, tensors)
    with torch.no_grad():
        generator.conv_last.bias += 1
    np.testing.assert_array_equal(tensors["conv_last.bias"], before)


def test_loading_is_strict(random_tensors):
    tensors = random_tensors(SMALL)
    del tensors["conv_hr.bias"]
    with pytest.raises(RuntimeError, match=r"conv_hr\.bias"):
        build_generator(SMALL, tensors)
