"""Record every choice that shaped the models of a build, for its manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from calib.images_record import ImagesRecord, described
from deploy.artifacts.precision import ModelPrecision
from quant.plan import QuantOptions


@dataclass(frozen=True)
class BudgetRecord:
    """A budget that an int8 model holds.

    Attributes:
        asked: what it may lose, in the words it was asked for in.
        parity_db: parity with float on the pictures it was judged on; ``None``: no difference.
        images: those pictures; of the calibration's, none that weights were rounded on.
    """

    asked: str
    parity_db: float | None
    images: ImagesRecord

    def __str__(self) -> str:
        """Return the budget and what it was judged on, in words."""
        found = "no difference" if self.parity_db is None else f"{self.parity_db:.2f} dB"
        return (
            f"{self.asked} held with {found} on {described(self.images)}, which promotion was "
            "decided on; the verdict is of others, which nothing was decided on"
        )


@dataclass(frozen=True)
class TargetOptions:
    """How the int8 model of one target was made.

    Attributes:
        quantization: how it is quantized, but for what the budget did.
        budget: what it may lose, or ``None``.
        promoted: the nodes that the budget promoted to a higher precision, with the reason.
    """

    quantization: QuantOptions = field(default_factory=QuantOptions)
    budget: BudgetRecord | None = None
    promoted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildOptions:
    """Every choice that shapes the artifacts; no path is one.

    Attributes:
        precision: the lowest that was built.
        targets: by target profile, how its int8 model was made.
        fp16_keep: nodes that the fp16 model was asked to compute in float32.
        lowering: names of the rewrites that all models are behind
            (quant/passes/lowering/catalogue.py).
    """

    precision: ModelPrecision = "int8"
    targets: Mapping[str, TargetOptions] = field(default_factory=dict)
    fp16_keep: tuple[str, ...] = ()
    lowering: tuple[str, ...] = ()

    def quantization_for(self, target: str) -> QuantOptions:
        """Return how the int8 model of a target is quantized, what the budget did included.

        A target that was not built is quantized as those are that were, if they all are alike, and
        else by default.
        """
        if target in self.targets:
            asked, promoted = self.targets[target].quantization, self.targets[target].promoted
            return replace(asked, promoted=promoted or asked.promoted)
        found = [made.quantization for made in self.targets.values()]
        return found[0] if found and all(item == found[0] for item in found) else QuantOptions()

    @property
    def has_budget(self) -> bool:
        """Whether any int8 model had to hold a budget."""
        return any(made.budget is not None for made in self.targets.values())
