"""Record how a plan was carried out: proofs of rewrites, roundings of weights, what was learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from calib.images_record import ImagesRecord
from calib.records import Count, Positive, Sha256


@dataclass(frozen=True)
class RoundingRecord:
    """How weights were rounded to int8 values other than the nearest.

    Attributes:
        images: record of the images whose activations decided.
        digests: of int8 weight and bias, by weight initializer.
        nearest: weights rounded to the nearest value all the same, with the reason.
    """

    images: ImagesRecord
    digests: Mapping[str, Sha256]
    nearest: Mapping[str, str]


@dataclass(frozen=True)
class ProofRecord:
    """How closely a rewritten float graph computes what the one before does.

    Attributes:
        name: of the pass that rewrote it.
        nodes_before: nodes it was given.
        nodes_after: nodes it left.
        psnr_db: least PSNR over the probes, dB; ``None`` where the outputs are equal.
        max_abs_error: largest difference of two output values.
        probes: how many pictures were compared.
    """

    name: str
    nodes_before: Count
    nodes_after: Count
    psnr_db: float | None
    max_abs_error: float
    probes: Count


Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class RefinementStage:
    """What one stage of refinement brought.

    Attributes:
        name: what was learned in it.
        crops: how many crops it was learned from.
        parity_db: parity with float on the judges behind it; ``None``: no difference.
        taken: it is better than what was before it, and stays.
    """

    name: str
    crops: Positive
    parity_db: float | None
    taken: bool


@dataclass(frozen=True)
class RefinementRecord:
    """What was learned beyond GPTQ, and what it brought.

    Attributes:
        device: where; the CPU gives the same bytes every time.
        images: record of the pictures that were learned from.
        judges: record of those that decided what stays; none is among the others.
        parity_db: parity with float on the judges before it; ``None``: no difference.
        stages: what each stage brought, in order.
        activations: learned scale by edge, a float32 value; empty where no stage stays.
        weights: digest of the learned scales by weight initializer, likewise.
    """

    device: Device
    images: ImagesRecord
    judges: ImagesRecord
    parity_db: float | None
    stages: tuple[RefinementStage, ...]
    activations: Mapping[str, float]
    weights: Mapping[str, Sha256]

    def __str__(self) -> str:
        """Return what was gained, in words."""
        told = [f"GPTQ {_decibels(self.parity_db)}"]
        told += [
            f"{stage.name} {_decibels(stage.parity_db)}{'' if stage.taken else ' (left out)'}"
            for stage in self.stages
        ]
        return f"{', '.join(told)} on {self.judges.count} calibration pictures set apart"


def _decibels(parity_db: float | None) -> str:
    return "no difference" if parity_db is None else f"{parity_db:.2f} dB"
