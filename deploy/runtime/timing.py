"""Time several models by turns, so that what else the machine does falls on all of them alike."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from calib.arrays import Float32
from deploy.progress import Advance
from deploy.runtime.runner import Runner


@dataclass(frozen=True)
class Timing:
    """How long one model took, round by round.

    Attributes:
        seconds: one entry per round.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """What 95 % of the rounds did not exceed, in seconds; of a few rounds the longest."""
        rank = -(-95 * len(self.seconds) // 100)
        return sorted(self.seconds)[rank - 1]

    def times_as_fast_as(self, other: "Timing") -> "Ratio":
        """Return how many times as fast it was, a ratio for each round.

        >>> Timing((1.0, 2.0, 1.0)).times_as_fast_as(Timing((3.0, 4.0, 1.0)))
        Ratio(median=2.0, least=1.0, most=3.0)
        """
        pairs = zip(other.seconds, self.seconds, strict=True)
        rounds = [theirs / own for theirs, own in pairs]
        return Ratio(statistics.median(rounds), min(rounds), max(rounds))


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one model was as another, over the rounds.

    Attributes:
        median: of the rounds.
        least: of any round.
        most: of any round.
    """

    median: float
    least: float
    most: float


def time_by_turns(
    runs: Mapping[str, Runner],
    pictures: Mapping[str, Float32],
    rounds: int,
    advance: Advance = lambda: None,
) -> dict[str, Timing]:
    """Run each model once to warm up, then all of them in turn, a round each.

    Args:
        runs: models by name.
        pictures: the input of each, float32 [1, 3, H, W], by the same names.
        rounds: how many times each is timed, at least 1.
        advance: called after each inference.
    """
    for name, run in runs.items():
        run(pictures[name])
        advance()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run(pictures[name])
            seconds[name].append(time.perf_counter() - started)
            advance()
    return {name: Timing(tuple(spent)) for name, spent in seconds.items()}
