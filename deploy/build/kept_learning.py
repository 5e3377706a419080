"""Keep what learning has come to, so that a build that ends in the middle of it goes on there.

A network as large as x4plus learns for an hour. Its state is written once a minute, beside what
finished targets have left (deploy/build/kept_refinement.py), and like that is of one plan, one set
of pictures, one device and one code.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from calib.archive import content_digest
from deploy.build.kept_file import KeptRecord, listed, numbered, read_kept, write_kept
from quant.refinement.learning_state import LearningState

EVERY_S = 60.0


@dataclass(frozen=True)
class LearningFile(KeptRecord):
    """What stands in a file of a state beside its arrays.

    Attributes:
        losses: of the steps that were taken.
        count: of the arrays of each kind.
    """

    losses: tuple[float, ...]
    count: int


@dataclass(eq=False)
class KeptLearning:
    """Keeps the state of one stage of learning in a file.

    Attributes:
        path: the file.
        made_from: digest of all that the state follows from.
    """

    path: Path
    made_from: str
    _written: float = field(default_factory=time.monotonic, init=False)

    def last(self) -> LearningState:
        """Return what the stage had come to; a state of no step where nothing was kept."""
        found = read_kept(self.path, LearningFile, self.made_from)
        if found is None:
            return LearningState()
        record, arrays = found
        values, means, squares = (
            listed(arrays, kind, record.count) for kind in ("values", "means", "squares")
        )
        return LearningState(record.losses, values, means, squares)

    def keep(self, state: Callable[[], LearningState], *, at_end: bool) -> None:
        """Write a state, unless the last one is less than a minute old."""
        if not at_end and time.monotonic() - self._written < EVERY_S:
            return
        found = state()
        arrays = numbered(values=found.values, means=found.means, squares=found.squares)
        digest = content_digest(arrays)
        record = LearningFile(self.made_from, digest, found.losses, len(found.values))
        write_kept(self.path, record, arrays)
        self._written = time.monotonic()
