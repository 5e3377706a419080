"""Record every choice that shaped the models of a build, for its manifest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from calib.images_record import ImagesRecord, described
from deploy.artifacts.precision import ModelPrecision
from quant.plan import QuantOptions


@dataclass(frozen=True)
class BudgetRecord:
    """A budget that an int8 model holds where it was decided, and how it fares on the verdict's.

    The two sets of pictures are apart on purpose: which layers are promoted is decided on some, and
    a verdict on those would flatter it.

    Attributes:
        asked: what it may lose, in the words it was asked for in.
        min_parity_db: parity with float that this asks for.
        parity_db: parity with float on the pictures it was decided on; ``None``: no difference.
        images: those pictures; of the calibration's, none that weights were rounded on.
        verdict_db: parity of the verdict's pictures together; ``None`` until they are compared.
    """

    asked: str
    min_parity_db: float
    parity_db: float | None
    images: ImagesRecord
    verdict_db: float | None = None

    @property
    def missing_db(self) -> float:
        """What the verdict's pictures lack of the budget, in dB; 0 where they hold it."""
        return 0.0 if self.verdict_db is None else max(0.0, self.min_parity_db - self.verdict_db)

    def __str__(self) -> str:
        """Return the budget, what it was decided on and what the verdict says, in words."""
        found = "no difference" if self.parity_db is None else f"{self.parity_db:.2f} dB"
        held = (
            f"{self.asked} held with {found} on {described(self.images)}, which promotion was "
            "decided on; the verdict's pictures, which nothing was decided on, "
        )
        if self.verdict_db is None:
            return f"{held}were not compared"
        if self.missing_db:
            return f"{held}fall short: {self.shortfall}"
        return f"{held}reach {self.verdict_db:.2f} dB together"

    @property
    def shortfall(self) -> str:
        """What the verdict's pictures reach and lack, in words; empty where they hold it."""
        if not self.missing_db:
            return ""
        assert self.verdict_db is not None  # else nothing is missing
        reached = math.floor(100 * self.verdict_db) / 100  # what falls short does not read as held
        return (
            f"they reach {reached:.2f} dB together where it asks for "
            f"{self.min_parity_db:.2f}; ask for {self.missing_db + 0.05:.1f} dB of parity more to "
            "have it there"
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
        else by default; nothing is learned for it, which would take minutes of whoever asks.
        """
        if target in self.targets:
            asked, promoted = self.targets[target].quantization, self.targets[target].promoted
            return replace(asked, promoted=promoted or asked.promoted)
        found = [made.quantization for made in self.targets.values()]
        alike = bool(found) and all(item == found[0] for item in found)
        return replace(found[0], effort="normal") if alike else QuantOptions()

    def judged(self, parity_db: Mapping[str, float]) -> "BuildOptions":
        """Return the same with what the verdict found of each budget.

        Args:
            parity_db: parity of the verdict's pictures together, by target.
        """

        def told(target: str, made: TargetOptions) -> TargetOptions:
            if made.budget is None:
                return made
            return replace(made, budget=replace(made.budget, verdict_db=parity_db.get(target)))

        targets = {target: told(target, made) for target, made in self.targets.items()}
        return replace(self, targets=targets)

    @property
    def has_budget(self) -> bool:
        """Whether any int8 model had to hold a budget."""
        return any(made.budget is not None for made in self.targets.values())
