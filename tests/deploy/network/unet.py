"""The discriminator in torch, under torch's own spectral normalization: what ours is held to."""

import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations


def old_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have the other one used
        return nn.utils.spectral_norm(module)


new_norm = parametrizations.spectral_norm
Norm = Callable[[nn.Module], nn.Module]


class UNet(nn.Module):
    """A discriminator of so many features."""

    def __init__(self, features: int, norm: Norm) -> None:
        super().__init__()
        f = features
        self.conv0 = nn.Conv2d(3, f, 3, 1, 1)
        sizes = [(f, 2 * f), (2 * f, 4 * f), (4 * f, 8 * f)]
        self.down = [f"conv{index}" for index in (1, 2, 3)]
        for name, (inputs, outputs) in zip(self.down, sizes, strict=True):
            self.add_module(name, norm(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)))
        sizes = [(8 * f, 4 * f), (4 * f, 2 * f), (2 * f, f), (f, f), (f, f)]
        for index, (inputs, outputs) in enumerate(sizes, start=4):
            conv = norm(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False))
            self.add_module(f"conv{index}", conv)
        self.conv9 = nn.Conv2d(f, 1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [functional.leaky_relu(self.conv0(x), 0.2)]
        for name in self.down:
            kept.append(functional.leaky_relu(self.get_submodule(name)(kept[-1]), 0.2))
        y = kept.pop()
        for index in (4, 5, 6):
            y = functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
            y = functional.leaky_relu(self.get_submodule(f"conv{index}")(y), 0.2) + kept.pop()
        y = functional.leaky_relu(self.conv7(y), 0.2)
        return self.conv9(functional.leaky_relu(self.conv8(y), 0.2))


def trained(norm: Norm, features: int = 4, seed: int = 0) -> UNet:
    """Return a network whose estimates of singular values have settled a little, in eval mode."""
    torch.manual_seed(seed)
    network = UNet(features, norm)
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(1, 3, 32, 32))
    return network.eval()
