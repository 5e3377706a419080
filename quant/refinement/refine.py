"""Refine what GPTQ chose for a plan, and the plan's scales, together against the float network.

Stage by stage something is learned (quant/refinement/learn.py): on a CPU all at once, in small
steps where there is a trunk, weights and biases alone where that is added up in float; on a GPU
first the scales of activations and the biases, then weights too, from where GPTQ left them, with
their scales. What a stage gives stays if the QDQ file made of it, in QDQ reference semantics, is
nearer to the float network than all before it on pictures that nothing is learned from.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from calib.arrays import Float32
from calib.errors import UsageError
from calib.graph import CONVOLUTIONS
from calib.images_record import ImagesRecord
from calib.output_kind import output_kind
from calib.runtime import give_back_memory
from calib.table import CalibrationTable
from quant.analysis.multiplications import multiplications
from quant.evidence import Device, RefinementRecord, RefinementStage
from quant.numerics.clipping_weights import Trunk
from quant.passes.equalize import trunk_of
from quant.passes.prepared import PreparedGraph
from quant.qdq.int8_weights import RoundedWeights
from quant.refinement.learn import learn
from quant.refinement.learned_values import learned_scales, learned_weights
from quant.refinement.learning_state import KeepsNothing, StateKeeper
from quant.refinement.network import TorchNetwork
from quant.refinement.recorded_scales import (
    LearnedScales,
    Refined,
    scales_digest,
    smallest_factors,
    with_learned_scales,
)
from quant.refinement.schedule import Rates, Schedule

ON_CPU: Mapping[Trunk, Mapping[str, Schedule]] = {
    "none": {
        "all together": Schedule(
            crop_px=32,
            crops=2000,
            batch=2,
            rates=Rates(0.004, 1e-3, 0.02, 2e-3),
            fall=2.0,
            momentum=0.97,
            recoloured=0.1,
        )
    },
    "rounded": {"all together": Schedule(32, 2000, 2, Rates(0.001, 2.5e-4, 0.005, 5e-4))},
    "float": {"weights and biases": Schedule(32, 2000, 2, Rates(0.001, 0.0, 0.005, 0.0))},
}
"""What is learned in each stage on a CPU, which is given some minutes, by what adds a trunk up.

The deeper a network, the more a step in all of its layers moves: beside a trunk rates are a quarter
of those that serve a chain. x4plus-anime-6b for qnn, 18 DIV2K pairs: 38.71 dB before, 38.80 with
the rates of "none", 39.17 with those of "rounded", 38.87 with those of "float" (decision 20).
Beside a trunk in float scales are best left as they are: for ort 40.97 dB without them and 40.92
with them, where it had 40.82 before. How rates of a chain fall, and what it learns from, is told by
animevideov3 (decision 24); where the loss is the square it has 44.7 dB for ort in place of 45.1.
"""

ON_GPU: Mapping[str, Schedule] = {
    "activations and biases": Schedule(64, 640, 8, Rates(0.0, 0.0, 0.02, 2e-3)),
    "weights": Schedule(64, 3600, 8, Rates(0.005, 2e-4, 0.02, 2e-3)),
}
"""What is learned in each stage on a GPU."""

_SMALL = 4_000_000
_OF_SMALL = 2.5
"""Small networks, by the multiplications behind an input pixel, learn from as many times the crops.

A crop of general-x4v3 (1.2 million) takes a quarter of the time of one of x4plus-anime-6b (18).
"""


def stages_of(prepared: PreparedGraph, device: Device) -> dict[str, Schedule]:
    """Return what is learned of a network under its plan in each stage on a device."""
    index = prepared.index
    in_float = prepared.plan.options.trunk == "float"
    trunk = trunk_of(prepared.source.model, in_float=in_float)
    stages = ON_CPU[trunk] if device == "cpu" else ON_GPU
    (entry,) = index.inputs
    shape = index.shape(entry)
    assert shape is not None  # exported with fixed dimensions
    pixels = math.prod(shape) // shape[1]  # of all pictures of a batch
    total = sum(
        multiplications(index, node) for node in index.nodes if node.op_type in CONVOLUTIONS
    )
    share = _OF_SMALL if total < _SMALL * pixels else 1.0
    return {
        name: replace(schedule, crops=int(schedule.crops * share))
        for name, schedule in stages.items()
    }


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network is refined on.

    Attributes:
        pictures: float32 ``[1,C,H,W]``, to learn from.
        images: their record.
        judges: record of the pictures that decide what stays.
        parity_db: measures a QDQ model on those: the graph under its plan, and the weights.
    """

    pictures: Sequence[Float32]
    images: ImagesRecord
    judges: ImagesRecord
    parity_db: Callable[[PreparedGraph, RoundedWeights], float]


def find_device(asked: str) -> Device:
    """Return where to learn: ``auto`` takes a GPU where there is one.

    Raises:
        UsageError: ``cuda`` is asked for, and torch finds none.
    """
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise UsageError(
            f"found no GPU that torch {torch.__version__} can use; leave out --device cuda"
        )
    return "cuda" if there and asked != "cpu" else "cpu"


def total_steps(prepared: PreparedGraph, device: Device) -> int:
    """Return how many steps the refinement of a network under its plan takes."""
    return sum(schedule.steps for schedule in stages_of(prepared, device).values())


def refine(  # noqa: PLR0913, PLR0917  # what is learned from
    prepared: PreparedGraph,
    table: CalibrationTable,
    weights: RoundedWeights,
    examples: Examples,
    device: Device,
    on_step: Callable[[], None] = lambda: None,
    keeper_of: Callable[[str], StateKeeper] = lambda _: KeepsNothing(),
) -> Refined:
    """Return the best that was learned, or what GPTQ chose if nothing is better.

    Args:
        prepared: the float graph under the plan that GPTQ rounded.
        table: the calibration table of the plan.
        weights: what GPTQ chose.
        examples: pictures.
        device: where to learn.
        on_step: called after each step.
        keeper_of: gives what keeps the state of a stage, by its name.

    Raises:
        UsageError: the graph holds an operator that cannot be refined through.
    """
    network = TorchNetwork(prepared, weights, device)
    smallest = np.array(smallest_factors(prepared, table))
    kind = output_kind(prepared.model)
    start = best = examples.parity_db(prepared, weights)
    found = LearnedScales(), weights
    record = RefinementRecord(device, examples.images, examples.judges, _finite(start), (), {}, {})
    for name, schedule in stages_of(prepared, device).items():
        give_back_memory()
        learn(network, kind, examples.pictures, schedule, on_step, keeper_of(name))
        scales = learned_scales(network, prepared, smallest)
        tried = replace(
            record,
            activations=scales.activations,
            weights={weight: scales_digest(value) for weight, value in scales.weights.items()},
        )
        moved = with_learned_scales(prepared, table, tried, scales.weights)
        chosen = learned_weights(network, moved, weights)
        reached = examples.parity_db(moved, chosen)
        taken = reached > best
        stage = RefinementStage(name, schedule.crops, _finite(reached), taken)
        record = replace(tried if taken else record, stages=(*record.stages, stage))
        if taken:
            best, found = reached, (scales, chosen)
    return Refined(record, *found)


def _finite(parity_db: float) -> float | None:
    return parity_db if math.isfinite(parity_db) else None
