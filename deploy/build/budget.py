"""Choose the layers that return to a higher precision so that int8 keeps an accuracy budget.

Drop and parity. If rounding errors had nothing to do with the network's own, a model at parity P
would lose, against a photograph that the float model meets at F dB,

    drop = 10 log10(1 + 10^((F - P) / 10))

so a drop D asks for P = F - 10 log10(10^(D/10) - 1). ``FLOAT_PSNR_DB`` is the higher of what the
two big networks reach by the vendor table's protocol: the estimate is cautious. Measured drops
are smaller, because part of the rounding error undoes part of the network's.
"""

import math
from dataclasses import dataclass

from calib.errors import UsageError
from quant.sensitivity import GroupCost, Sensitivity

FLOAT_PSNR_DB = 24.0


@dataclass(frozen=True)
class Budget:
    """What an int8 model may lose.

    Attributes:
        min_parity_db: smallest PSNR between its pictures and the float model's, peak 1.
        asked: the words it was asked for in, for reasons.
    """

    min_parity_db: float
    asked: str

    @classmethod
    def of(cls, max_drop_db: float | None, min_parity_db: float | None) -> "Budget | None":
        """Return the stricter of two wishes, or ``None`` for none.

        Raises:
            UsageError: a wish is not a positive number.

        >>> Budget.of(0.02, None).min_parity_db
        47.357...
        >>> Budget.of(None, 40.0).asked
        'min parity 40 dB'
        """
        wishes = []
        for value, name in ((max_drop_db, "max drop"), (min_parity_db, "min parity")):
            if value is None:
                continue
            if not (math.isfinite(value) and value > 0.0):
                raise UsageError(f"found {name} {value}; give a positive number of dB")
            parity = parity_for_drop(value) if name == "max drop" else value
            wishes.append(cls(parity, f"{name} {value:g} dB"))
        return max(wishes, key=lambda wish: wish.min_parity_db, default=None)


def parity_for_drop(drop_db: float) -> float:
    """Return the parity at which independent errors cost ``drop_db`` > 0 against a photograph."""
    return FLOAT_PSNR_DB - 10.0 * math.log10(10.0 ** (drop_db / 10.0) - 1.0)


def promoted_nodes(sensitivity: Sensitivity, budget: Budget, parity_db: float) -> dict[str, str]:
    """Return the convolutions to promote, with the reason for each.

    Args:
        sensitivity: what each layer group costs.
        budget: what the model may lose.
        parity_db: parity to aim at; the budget's, or more where a first choice fell short.
    """
    chosen = sensitivity.most_costly_until(parity_db)
    return {
        node: _reason(rank, group, len(sensitivity.groups), budget)
        for rank, group in enumerate(chosen, 1)
        for node in group.nodes
    }


def _reason(rank: int, group: GroupCost, count: int, budget: Budget) -> str:
    return (
        f"promoted for {budget.asked}: number {rank} of {count} layer groups by cost; quantized "
        f"alone it leaves {group.parity_db:.1f} dB"
    )
