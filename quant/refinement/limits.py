"""Hold what is learned of weights within what their int8 values may be.

A weight's code lies within the target's limits (quant/numerics/saturation_limits.py), and the codes
of an output channel stay near its float weights, in root mean square:

    rms(steps - w / s) <= DRIFT        less than what verification allows of codes, as rounding adds
                                       up to rms 0.29 to it (quant/rounding/gptq.py)
"""

import torch

from quant.numerics.saturation_limits import PAIR_LIMIT, SaturationLimits
from quant.refinement.network import TorchNetwork

DRIFT = 0.85


def hold_weights(network: TorchNetwork) -> None:
    """Move the learned steps of all weights to the nearest that are allowed, in place."""
    with torch.no_grad():
        for name, steps in network.learned.steps.items():
            factor = network.learned.weight_logs[name].exp().reshape(-1, *[1] * (steps.ndim - 1))
            ideal = network.float_steps[name] / factor
            away = steps - ideal
            drift = away.square().mean(dim=tuple(range(1, steps.ndim)), keepdim=True).sqrt()
            held = ideal + away * (DRIFT / drift.clamp(min=DRIFT))
            steps.copy_(_within(held, network.plan.weights[name].limits))


def _within(steps: torch.Tensor, limits: SaturationLimits) -> torch.Tensor:
    """Return what :meth:`SaturationLimits.clamp` does, in torch."""
    channels = steps.shape[1]
    largest = limits.largest(channels)
    kept = steps.clamp(-largest, largest)
    if not limits.channels_paired(channels):
        return kept
    left, right = kept[:, ::2], kept[:, 1::2]
    excess = (left.abs() + right.abs() - PAIR_LIMIT).clamp(min=0.0) / 2.0
    excess = torch.where(left * right > 0.0, excess, torch.zeros_like(excess))
    held = torch.stack((left - left.sign() * excess, right - right.sign() * excess), dim=2)
    return held.reshape(kept.shape)
