"""Say how much is learned from, and how fast."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """How far each kind of what is learned moves in one step at most, in units of its own.

    Attributes:
        weights: a weight, in steps of its scale.
        scales: the logarithm of a weight's scale.
        biases: a bias, in units of its noise.
        activations: the logarithm of an activation's scale.
    """

    weights: float
    scales: float
    biases: float
    activations: float


@dataclass(frozen=True)
class Schedule:
    """How much is learned from.

    Attributes:
        crop_px: side of a crop.
        crops: how many are drawn, all batches together.
        batch: crops whose gradients make one step.
        rates: how fast, at first.
        fall: power of the half cosine along which rates fall to 0; the higher, the more of the
            steps are small.
        momentum: Adam's, of the mean gradient that is followed.
        recoloured: share of the crops whose colour channels change places.
        seed: draws the crops.
    """

    crop_px: int
    crops: int
    batch: int
    rates: Rates
    fall: float = 1.0
    momentum: float = 0.9
    recoloured: float = 0.0
    seed: int = 0

    @property
    def steps(self) -> int:
        """How many steps are taken, at least one."""
        return max(1, self.crops // self.batch)
