"""Tiny networks of spandrel's own constructors, with random weights that draw a sane picture."""

from collections.abc import Callable

import torch
from torch import nn

DETAILS = 0.02


def span() -> nn.Module:
    from spandrel.architectures.SPAN import SPAN

    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)


def real_plksr() -> nn.Module:
    from spandrel.architectures.PLKSR import RealPLKSR

    return RealPLKSR(dim=8, n_blocks=1, upscaling_factor=2, kernel_size=5)


def dat_light() -> nn.Module:
    from spandrel.architectures.DAT import DAT

    return DAT(
        img_size=32,
        embed_dim=32,
        split_size=[4, 8],
        depth=[2],
        num_heads=[2],
        expansion_factor=2.0,
        upscale=2,
        upsampler="pixelshuffledirect",
    )


def swin_ir() -> nn.Module:
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        img_size=16,
        embed_dim=12,
        depths=[2],
        num_heads=[2],
        window_size=8,
        mlp_ratio=2.0,
        upscale=2,
        upsampler="pixelshuffledirect",
    )


LAST = {
    span: "upsampler.0",
    real_plksr: "feats.3",
    dat_light: "upsample.0",
    swin_ir: "upsample.0",
}
"""The convolution that gives out the picture, of each network."""


def sane_state(make: Callable[[], nn.Module]) -> dict[str, torch.Tensor]:
    """Return random weights: what they draw lies around a gray, or around the enlarged picture."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make().eval()
        picture = torch.rand(1, 3, 32, 32)
    last = network.get_submodule(LAST[make])
    with torch.no_grad():
        adds_picture = make is real_plksr
        factor = DETAILS if adds_picture else 0.1 / network(picture).std()
        last.weight.mul_(factor)
        last.bias.mul_(0.0).add_(0.0 if adds_picture else 0.5)
    return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
