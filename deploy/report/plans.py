"""Group what a quantization plan decides by its reasons."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from quant.evidence import RefinementRecord
from quant.plan import EdgeQuant, QuantPlan


@dataclass(frozen=True)
class Reason:
    """Why some nodes or tensors are as they are.

    Attributes:
        text: the reason.
        names: of the nodes or tensors.
    """

    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Gain:
    """What one step of making an int8 model brought.

    Attributes:
        step: what was done.
        learned_from: how many crops of pictures; 0 where nothing is learned.
        parity_db: with float, on the pictures set apart to judge, in words.
        gained: less that of the best before it, in words; empty for the first.
        taken: it stays in the file.
    """

    step: str
    learned_from: int
    parity_db: str
    gained: str
    taken: bool


@dataclass(frozen=True)
class PlanSummary:
    """What a plan does and why.

    Attributes:
        target: it is made for.
        options: it was made with, in words.
        rules: how ranges were found, with the edges; most frequent first.
        kept_float: why nodes stay in float; most frequent first.
        nearest: why weights were rounded to nearest where others were rounded by GPTQ.
        weights: how many weights are quantized.
        edges: the quantized activations, those whose range holds least of their values first.
        gains: what learning brought after GPTQ, step by step; empty where nothing was learned.
        judges: on how many pictures.
    """

    target: str
    options: tuple[tuple[str, str], ...]
    rules: tuple[Reason, ...]
    kept_float: tuple[Reason, ...]
    nearest: tuple[Reason, ...]
    weights: int
    edges: tuple[EdgeQuant, ...]
    gains: tuple[Gain, ...]
    judges: int


def summarize_plan(plan: QuantPlan) -> PlanSummary:
    """Group what a plan decides by its reasons."""
    rules = {name: edge.rule.partition(", shared")[0] for name, edge in plan.edges.items()}
    asked = asdict(plan.options)
    types = Counter(edge.dtype for edge in plan.edges.values())
    return PlanSummary(
        target=plan.target,
        options=(
            (
                "activations",
                ", ".join(f"{count} {dtype}" for dtype, count in sorted(types.items())),
            ),
            *((name.replace("_", " "), _spelled(value)) for name, value in asked.items()),
        ),
        rules=grouped(rules),
        kept_float=grouped(plan.kept_float),
        nearest=grouped(plan.rounded.nearest if plan.rounded else {}),
        weights=len(plan.weights),
        edges=tuple(sorted(plan.edges.values(), key=lambda edge: (edge.percentile, edge.tensor))),
        gains=() if plan.refined is None else tuple(_gains(plan.refined)),
        judges=0 if plan.refined is None else plan.refined.judges.count,
    )


def _gains(refined: RefinementRecord) -> Iterator[Gain]:
    """Yield what GPTQ reached, then what each stage of learning brought."""
    best_db = refined.parity_db
    yield Gain("GPTQ", 0, _decibels(best_db), "", taken=True)
    for stage in refined.stages:
        reached_db = stage.parity_db
        gained = ""
        if best_db is not None and reached_db is not None:
            gained = f"{reached_db - best_db:+.2f}"
        yield Gain(stage.name, stage.crops, _decibels(reached_db), gained, stage.taken)
        best_db = reached_db if stage.taken else best_db


def _decibels(parity_db: float | None) -> str:
    """Return a parity as the page shows it; ``None`` is that of equal pictures."""
    return "no difference" if parity_db is None else f"{parity_db:.2f}"


def grouped(reasons: Mapping[str, str]) -> tuple[Reason, ...]:
    """Turn names with a reason each into reasons with their names, the most frequent first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons.items():
        groups[reason].append(name)
    ranked: Sequence[tuple[str, list[str]]] = sorted(
        groups.items(), key=lambda item: (-len(item[1]), item[0])
    )
    return tuple(Reason(reason, tuple(sorted(names))) for reason, names in ranked)


def percentile_text(percentile: float) -> str:
    """Return a percentile as it is spoken of, with as many digits as tell it from 100 %.

    >>> percentile_text(99.999605), percentile_text(99.5), percentile_text(100.0)
    ('99.9996 %', '99.50 %', '100 %')
    """
    if percentile >= 100.0:
        return "100 %"
    digits = min(max(2, math.ceil(-math.log10(100.0 - percentile))), 6)
    return f"{percentile:.{digits}f} %"


def _spelled(value: object) -> str:
    match value:
        case None:
            return "chosen per tensor"
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return f"{len(value)} nodes" if value else "none"
        case _:
            return str(value)
