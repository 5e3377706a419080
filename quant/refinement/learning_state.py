"""Hold what learning has come to between two steps, so that it can be taken up there.

Going on from a state takes the same steps as never having stopped: crops are drawn by a generator
that is wound forward, and all else that a step depends on is here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from calib.arrays import Float32


@dataclass(frozen=True, eq=False)
class LearningState:
    """What a stage has come to.

    Attributes:
        losses: of the steps that were taken.
        values: what is learned, float32, in one order.
        means: the optimizer's running mean of each gradient.
        squares: its running mean of each gradient's square.
    """

    losses: tuple[float, ...] = ()
    values: Sequence[Float32] = field(default=())
    means: Sequence[Float32] = field(default=())
    squares: Sequence[Float32] = field(default=())

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return len(self.losses)


class StateKeeper(Protocol):
    """Keeps the state of a stage of learning, and gives it back."""

    def last(self) -> LearningState:
        """Return what the stage had come to; a state of no step where nothing was kept."""

    def keep(self, state: Callable[[], LearningState], *, at_end: bool) -> None:
        """Take note of a state; one that is not at the end may be passed over."""


class KeepsNothing:
    """A keeper for who learns in one go."""

    def last(self) -> LearningState:
        """Return a state of no step."""
        return LearningState()

    def keep(self, state: Callable[[], LearningState], *, at_end: bool) -> None:
        """Keep nothing."""
