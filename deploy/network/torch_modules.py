"""Build a torch module, ready to trace, from an architecture and its tensors.

The modules compute what ``RRDBNet`` and ``SRVGGNetCompact`` of BasicSR and Real-ESRGAN compute
and give their parameters the same names, so official state dicts load strictly:

    RDB:   x + 0.2 * conv5([x, x1, x2, x3, x4]),  xk = lrelu(convk([x, x1, .. x(k-1)]))
    RRDB:  x + 0.2 * rdb3(rdb2(rdb1(x)))
    RRDBNet: f = conv_first(unshuffle(x));  f = f + conv_body(rrdbs(f))
             f = lrelu(conv_upk(up2(f)))  for k = 1 .. upsamplings
             y = conv_last(lrelu(conv_hr(f)))
    SRVGGNetCompact: y = pixel_shuffle(body(x)) + nearest_upsample(x)
    UNetDiscriminatorSN: deploy/network/discriminator.py, its spectral normalization folded

with lrelu the LeakyReLU of slope 0.2 (in SRVGGNetCompact 0.1) and up2 nearest-neighbour doubling.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from calib.arrays import Float32
from deploy.network.architecture import (
    LEAKY_SLOPE,
    RESIDUAL_SCALE,
    SRVGG,
    SRVGG_LEAKY_SLOPE,
    Architecture,
    RRDBNet,
)
from deploy.network.discriminator import BIASED, CONVOLUTIONS, discriminator_shapes
from deploy.runtime.runner import Runner


def build_generator(architecture: Architecture, tensors: Mapping[str, Float32]) -> nn.Module:
    """Build the network and load its parameters.

    Args:
        architecture: sizes, as ``identify`` reads them from ``tensors``.
        tensors: float32 parameters by state dict key, no more and no fewer than the network has.

    Returns:
        A module in eval mode without gradients: float32 ``[N,C,H,W]`` in [0,1] to
        ``[N,C,H*scale,W*scale]``.
    """
    generator: nn.Module
    with torch.device("meta"):  # no time and memory for initial values that are never used
        match architecture:
            case RRDBNet():
                generator = RRDBNetModule(architecture)
            case SRVGG():
                generator = SRVGGModule(architecture)
    return _loaded(generator, tensors)


def torch_runner(architecture: Architecture, tensors: Mapping[str, Float32]) -> Runner:
    """Return the network as a function from float32 ``[N,C,H,W]`` to ``[N,C,H*s,W*s]``.

    Args:
        architecture: as for ``build_generator``.
        tensors: as for ``build_generator``.
    """
    return _runner(build_generator(architecture, tensors))


def discriminator_runner(tensors: Mapping[str, Float32]) -> Runner:
    """Return a U-Net discriminator as a function from ``[N,3,H,W]`` to logits ``[N,1,H,W]``.

    Args:
        tensors: float32, those of :func:`deploy.network.discriminator.discriminator_shapes`.
    """
    with torch.device("meta"):
        discriminator = DiscriminatorModule(len(tensors["conv0.weight"]))
    return _runner(_loaded(discriminator, tensors))


def _loaded(module: nn.Module, tensors: Mapping[str, Float32]) -> nn.Module:
    """Give a module its parameters, no more and no fewer than it has."""
    state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
    module.load_state_dict(state, strict=True, assign=True)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # quicker on CPUs
    return module.eval().requires_grad_(requires_grad=False)


def _runner(module: nn.Module) -> Runner:
    def run(network_input: Float32) -> Float32:
        with torch.no_grad():
            output: Float32 = module(torch.from_numpy(network_input)).contiguous().numpy()
        return output

    return run


class DenseBlock(nn.Module):
    """Residual dense block: each convolution sees the outputs of all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _conv(features, growth)
        self.conv2 = _conv(features + growth, growth)
        self.conv3 = _conv(features + 2 * growth, growth)
        self.conv4 = _conv(features + 3 * growth, growth)
        self.conv5 = _conv(features + 4 * growth, features)
        self.lrelu = nn.LeakyReLU(LEAKY_SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[N,features,H,W]`` to the same shape."""
        x1 = self.lrelu(self.conv1(x))
        x2 = self.lrelu(self.conv2(torch.cat((x, x1), 1)))
        x3 = self.lrelu(self.conv3(torch.cat((x, x1, x2), 1)))
        x4 = self.lrelu(self.conv4(torch.cat((x, x1, x2, x3), 1)))
        residual: torch.Tensor = self.conv5(torch.cat((x, x1, x2, x3, x4), 1))
        return residual * RESIDUAL_SCALE + x


class ResidualDenseBlock(nn.Module):
    """Residual-in-residual dense block (RRDB): three dense blocks in a row."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[N,features,H,W]`` to the same shape."""
        residual: torch.Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return residual * RESIDUAL_SCALE + x


class RRDBNetModule(nn.Module):
    """RRDBNet with its pixel-unshuffle inside."""

    def __init__(self, sizes: RRDBNet) -> None:
        super().__init__()
        features = sizes.features
        self.unshuffle = sizes.unshuffle
        self.conv_first = _conv(sizes.in_channels, features)
        blocks = (ResidualDenseBlock(features, sizes.growth) for _ in range(sizes.blocks))
        self.body = nn.Sequential(*blocks)
        self.conv_body = _conv(features, features)
        self.upsampling = [f"conv_up{index}" for index in range(1, sizes.upsamplings + 1)]
        for name in self.upsampling:
            self.add_module(name, _conv(features, features))
        self.conv_hr = _conv(features, features)
        self.conv_last = _conv(features, sizes.channels)
        self.lrelu = nn.LeakyReLU(LEAKY_SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[N,C,H,W]`` to ``[N,C,H*scale,W*scale]``."""
        if self.unshuffle > 1:
            x = functional.pixel_unshuffle(x, self.unshuffle)
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        for name in self.upsampling:
            x = self.lrelu(self.get_submodule(name)(_double(x)))
        y: torch.Tensor = self.conv_last(self.lrelu(self.conv_hr(x)))
        return y


class SRVGGModule(nn.Module):
    """SRVGGNetCompact with any of its activations."""

    def __init__(self, sizes: SRVGG) -> None:
        super().__init__()
        self.scale = sizes.scale
        body: list[nn.Module] = []
        for convolution in sizes.convolutions():
            body.append(_conv(convolution.inputs, convolution.outputs))
            match convolution.activation:
                case "prelu":
                    body.append(nn.PReLU(convolution.outputs))
                case "relu":
                    body.append(nn.ReLU())
                case "leaky_relu":
                    body.append(nn.LeakyReLU(SRVGG_LEAKY_SLOPE))
        self.body = nn.Sequential(*body)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[N,C,H,W]`` to ``[N,C,H*scale,W*scale]``."""
        details = functional.pixel_shuffle(self.body(x), self.scale)
        return details + functional.interpolate(x, scale_factor=self.scale, mode="nearest")


class DiscriminatorModule(nn.Module):
    """U-Net discriminator with skip connections, without spectral normalization."""

    def __init__(self, features: int) -> None:
        super().__init__()
        shapes = discriminator_shapes(features)
        for name in CONVOLUTIONS:
            outputs, inputs, side, _ = shapes[f"{name}.weight"]
            stride = 2 if side == 4 else 1
            conv = nn.Conv2d(inputs, outputs, side, stride, padding=1, bias=name in BIASED)
            self.add_module(name, conv)
        self.lrelu = nn.LeakyReLU(LEAKY_SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[N,3,H,W]`` to ``[N,1,H,W]``."""
        x0 = self._activated("conv0", x)
        x1 = self._activated("conv1", x0)
        x2 = self._activated("conv2", x1)
        x3 = self._activated("conv3", x2)
        y = self._activated("conv4", _blend(x3)) + x2
        y = self._activated("conv5", _blend(y)) + x1
        y = self._activated("conv6", _blend(y)) + x0
        y = self._activated("conv8", self._activated("conv7", y))
        logits: torch.Tensor = self.get_submodule("conv9")(y)
        return logits

    def _activated(self, name: str, x: torch.Tensor) -> torch.Tensor:
        activated: torch.Tensor = self.lrelu(self.get_submodule(name)(x))
        return activated


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def _blend(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _double(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
