"""Choose the layers that return to a higher precision so that int8 keeps an accuracy budget.

Drop and parity. If rounding errors had nothing to do with the network's own, a model at parity P
would lose, against a photograph that the float model meets at F dB,

    drop = 10 log10(1 + 10^((F - P) / 10))

so a drop D asks for P = F - 10 log10(10^(D/10) - 1). ``FLOAT_PSNR_DB`` is the higher of what the
two big networks reach by the vendor table's protocol: the estimate is cautious. Measured drops
are smaller, because part of the rounding error undoes part of the network's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from calib.errors import UsageError
from calib.words import counted
from quant.qdq.int8_share import Int8Share
from quant.sensitivity import ADDITIONS, GroupCost, Sensitivity
from quant.targets import ComputePrecision

FLOAT_PSNR_DB = 24.0


@dataclass(frozen=True)
class Budget:
    """What an int8 model may lose.

    Attributes:
        min_parity_db: smallest PSNR between its pictures and the float model's, peak 1.
        asked: the words it was asked for in, for reasons.
        mostly_promoted: it may be held by an int8 model that computes little in 8 bits.
    """

    min_parity_db: float
    asked: str
    mostly_promoted: bool = False

    @classmethod
    def of(
        cls,
        max_drop_db: float | None,
        min_parity_db: float | None,
        *,
        mostly_promoted: bool = False,
    ) -> "Budget | None":
        """Return the stricter of two wishes, or ``None`` for none.

        Args:
            max_drop_db: most PSNR to lose against a photograph.
            min_parity_db: least parity.
            mostly_promoted: it may be held by an int8 model that computes little in 8 bits.

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
            wishes.append(cls(parity, f"{name} {value:g} dB", mostly_promoted))
        return max(wishes, key=lambda wish: wish.min_parity_db, default=None)


LEAST_LEFT = 0.5
"""Share of the multiply-accumulates in 8 bits that a budget has to leave there: with less, most of
the work that int8 was asked for is done in a higher precision, and so are time and energy."""


def require_int8(budget: Budget, before: Int8Share, after: Int8Share) -> None:
    """Refuse a budget that undoes int8, unless it may.

    Args:
        budget: what was asked for.
        before: what is in integers without the budget.
        after: what is with it.

    Raises:
        UsageError: of the multiply-accumulates that were in 8 bits, less than `LEAST_LEFT` is.
    """
    left = after.macs_in_8_bits / max(before.macs_in_8_bits, 1)
    if left >= LEAST_LEFT or budget.mostly_promoted:
        return
    raise UsageError(
        f"{budget.asked} undoes int8: it leaves {100 * left:.0f} % of the multiply-accumulates in "
        f"8 bits ({after}, without it {before}), expected at least {100 * LEAST_LEFT:.0f} %; ask "
        "for less, hand over the fp16 model, or allow it with --allow-mostly-promoted"
    )


def parity_for_drop(drop_db: float) -> float:
    """Return the parity at which independent errors cost ``drop_db`` > 0 against a photograph."""
    return FLOAT_PSNR_DB - 10.0 * math.log10(10.0 ** (drop_db / 10.0) - 1.0)


def promoted_nodes(
    sensitivity: Sensitivity, budget: Budget, parity_db: float, higher: ComputePrecision
) -> dict[str, str]:
    """Return the nodes to promote, convolutions and additions, with the reason for each.

    Where 16 bits are promoted to, twice the work and more of 8, groups are ranked by what they cost
    for each multiplication; where float is, which is as fast in one layer as in another, by cost.

    Args:
        sensitivity: what each layer group costs.
        budget: what the model may lose.
        parity_db: parity to aim at; the budget's, or more where a first choice fell short.
        higher: what is promoted to.
    """
    sparing = higher == "int16"
    chosen = sensitivity.most_costly_until(parity_db, sparing_macs=sparing)
    ranked = "cost for each multiplication" if sparing else "cost"
    return {
        node: _reason(f"number {rank} of {len(sensitivity.groups)}", ranked, group, budget)
        for rank, group in enumerate(chosen, 1)
        for node in group.nodes
    }


def described_nodes(promoted: Mapping[str, str], sensitivity: Sensitivity) -> str:
    """Return in words how many operators are promoted, and how much of the work they do."""
    chosen = [group for group in sensitivity.groups if not promoted.keys().isdisjoint(group.nodes)]
    convolutions = sum(len(group.nodes) for group in chosen if group.name != ADDITIONS)
    additions = ", and the residual additions" if ADDITIONS in {g.name for g in chosen} else ""
    macs = sum(group.macs for group in chosen)
    share = 100 * macs / max(1, sum(group.macs for group in sensitivity.groups))
    return (
        f"{counted(convolutions, 'convolution')}, {share:.0f} % of the multiplications{additions}"
    )


def _reason(place: str, ranked: str, group: GroupCost, budget: Budget) -> str:
    return (
        f"promoted for {budget.asked}: {place} layer groups by {ranked}; quantized "
        f"alone it leaves {group.parity_db:.1f} dB"
    )
