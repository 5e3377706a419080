"""Learn weights, scales and biases of a quantized network from what the float network draws.

Small crops of the calibration pictures are drawn by both, and Adam follows the gradient of

    root of the mean over pixels of (seen quantized - seen float)^2

through every rounding (quant/refinement/fake_quantize.py), with rates that fall to 0 along a power
of half a cosine. Each kind of what is learned moves in a unit of its own, so that one rate serves
all layers (quant/refinement/network.py). The root lets a quiet crop count beside a busy one, as
decibels do.

On the CPU each crop of a batch is one thread's, and gradients are added in the order of the crops:
the result does not depend on the number of cores.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from calib.arrays import Float32
from calib.output_kind import OutputKind
from quant.refinement.crops import crops
from quant.refinement.learning_state import KeepsNothing, LearningState, StateKeeper
from quant.refinement.limits import hold_weights
from quant.refinement.network import TorchNetwork
from quant.refinement.schedule import Schedule

# Adam's second decay.
_SQUARES = 0.99
# Keeps the gradient of a root finite: 90 dB.
_NOTHING = 1e-9
# A crop of x4plus holds more than a gigabyte for its gradient.
_MOST_WORKERS = 2


def learn(  # noqa: PLR0913, PLR0917  # what is learned from
    network: TorchNetwork,
    kind: OutputKind,
    pictures: Sequence[Float32],
    schedule: Schedule,
    on_step: Callable[[], None] = lambda: None,
    keeper: StateKeeper | None = None,
) -> list[float]:
    """Move what can be learned of a network, in place; return the loss of each step.

    Args:
        network: quantized as GPTQ left it.
        kind: what it gives out.
        pictures: float32 ``[1,C,H,W]``, to learn from.
        schedule: how.
        on_step: called after each step, and for each that was taken before.
        keeper: has what was learned before, if anything, and is told of each step.
    """
    keeper = keeper or KeepsNothing()
    kinds = {name: found for name, found in network.learned.kinds().items() if found}
    groups = [{"params": kinds[name], "lr": getattr(schedule.rates, name)} for name in kinds]
    rates = [group["lr"] for group in groups]
    optimizer = torch.optim.Adam(groups, betas=(schedule.momentum, _SQUARES))
    tensors = [tensor for found in kinds.values() for tensor in found]
    drawn, device = crops(pictures, schedule), network.device
    before = keeper.last()
    _take_up(before, tensors, optimizer)
    losses = list(before.losses)
    for _ in range(before.step):
        _batch(drawn, schedule)
        on_step()

    def share(crop: torch.Tensor) -> tuple[float, tuple[torch.Tensor, ...]]:
        loss = _loss(network, kind, crop.to(device))
        found = torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)
        return float(loss.detach()), found

    workers = _workers(schedule.batch, device)  # counted before each gets one thread
    with _deterministic(device), ThreadPoolExecutor(workers) as pool:
        for step in range(before.step, schedule.steps):
            batch = _batch(drawn, schedule)
            found = list(pool.map(share, batch if device == "cpu" else [torch.cat(batch)]))
            for place, tensor in enumerate(tensors):
                tensor.grad = torch.stack([gradients[place] for _, gradients in found]).mean(dim=0)
            fallen = (0.5 + 0.5 * math.cos(math.pi * step / schedule.steps)) ** schedule.fall
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * fallen
            optimizer.step()
            hold_weights(network)
            losses.append(sum(loss for loss, _ in found) / len(found))
            keeper.keep(
                lambda: _state_of(tensors, optimizer, losses), at_end=step + 1 == schedule.steps
            )
            on_step()
    return losses


def _batch(drawn: Iterator[torch.Tensor], schedule: Schedule) -> list[torch.Tensor]:
    return [next(drawn) for _ in range(schedule.batch)]


def _state_of(
    tensors: Sequence[torch.Tensor], optimizer: torch.optim.Adam, losses: Sequence[float]
) -> LearningState:
    """Return the state behind a step."""
    found = [optimizer.state[tensor] for tensor in tensors]
    return LearningState(
        tuple(losses),
        [tensor.detach().cpu().numpy().copy() for tensor in tensors],
        [entry["exp_avg"].cpu().numpy().copy() for entry in found],
        [entry["exp_avg_sq"].cpu().numpy().copy() for entry in found],
    )


def _take_up(
    state: LearningState, tensors: Sequence[torch.Tensor], optimizer: torch.optim.Adam
) -> None:
    """Bring what is learned, and the optimizer, to a state, in place."""
    if not state.step:
        return
    learned = zip(tensors, state.values, state.means, state.squares, strict=True)
    for tensor, value, mean, square in learned:
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(value))
        optimizer.state[tensor] = {
            "step": torch.tensor(float(state.step)),
            "exp_avg": torch.from_numpy(mean.copy()).to(tensor.device),
            "exp_avg_sq": torch.from_numpy(square.copy()).to(tensor.device),
        }


def _loss(network: TorchNetwork, kind: OutputKind, pictures: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        expected = _seen(network.draw(pictures, quantized=False), kind)
    away = _seen(network.draw(pictures, quantized=True), kind) - expected
    return torch.sqrt(away.square().mean(dim=(1, 2, 3)) + _NOTHING).mean()


def _seen(output: torch.Tensor, kind: OutputKind) -> torch.Tensor:
    return output.clamp(0.0, 1.0) if kind == "picture" else output


def _workers(batch: int, device: str) -> int:
    return min(batch, torch.get_num_threads(), _MOST_WORKERS) if device == "cpu" else 1


@contextmanager
def _deterministic(device: str) -> Iterator[None]:
    """Compute with one thread for each crop, by algorithms that give the same sum each time."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    switches: Any = torch.utils.deterministic  # whose one is a property, unknown to checkers
    filled = switches.fill_uninitialized_memory
    if device == "cpu":
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        switches.fill_uninitialized_memory = False  # nothing reads it
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        switches.fill_uninitialized_memory = filled
