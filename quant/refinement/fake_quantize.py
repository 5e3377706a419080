"""Quantize and dequantize in one step that gradients pass: forward as a file, backward straight.

For an activation x of scale s and zero point z, with codes from qmin to qmax,

    steps = x / s        code = clamp(round(steps), qmin - z, qmax - z)        y = s code

    dy/dx = 1 where the code is not clamped, else 0
    dy/ds = code - steps where it is not clamped, else code

(Esser et al., "Learned Step Size Quantization", 2020, arXiv:1902.08153). A weight is held in steps
of its scale, which each of its output channels has its own of, so it moves by a share of a step at
a time whatever its size; dy/ds is its code then.
"""

from typing import Any

import torch


class QuantizedActivation(torch.autograd.Function):
    """A QDQ pair on an activation, with gradients to its values and its scale."""

    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, scale: torch.Tensor, lowest: int, highest: int
    ) -> torch.Tensor:
        """Return the dequantized values; ``ctx`` keeps what the gradient needs."""
        ctx.save_for_backward(values, scale)
        ctx.bounds = lowest, highest
        return (values / scale).round_().clamp_(lowest, highest).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        """Return the gradients to values and scale."""
        values, scale = ctx.saved_tensors
        steps = values / scale
        codes = steps.round().clamp_(*ctx.bounds)
        away = codes - steps
        inside = away.abs() <= 0.5
        to_scale = torch.where(inside, away, codes).mul_(gradient).sum()
        return gradient * inside, to_scale, None, None


def quantized_activation(
    values: torch.Tensor, scale: torch.Tensor, lowest: int, highest: int
) -> torch.Tensor:
    """Return dequantized values, with gradients to them and to their scale.

    Args:
        values: float32, any shape.
        scale: float32 ``[]``, positive.
        lowest: smallest code less the zero point.
        highest: largest code less the zero point.
    """
    found: torch.Tensor = QuantizedActivation.apply(  # type: ignore[no-untyped-call]
        values, scale, lowest, highest
    )
    return found


def quantized_weight(steps: torch.Tensor, scales: torch.Tensor, axes: int) -> torch.Tensor:
    """Return a dequantized weight, with gradients straight to its steps and to its scales.

    Args:
        steps: float32 ``[O, ...]``, weights in units of their scales.
        scales: float32 ``[O]``.
        axes: of the weight.
    """
    codes = steps + (steps.round() - steps).detach()
    return codes * scales.reshape(-1, *[1] * (axes - 1))
