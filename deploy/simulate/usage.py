"""Record what the stages of a route took, so that a table can be made of runs of another day.

A stage that was ended and gone on with has one entry: times of drawing are added up, and the
building counts that took longest, as what it left is taken up again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from calib.errors import UsageError
from calib.files import write_atomically
from calib.records import Count, NotNegative, PlainName, encode, read

NAME = "usage.json"
SCHEMA: Literal["esrdeploy.simulation-usage/1"] = "esrdeploy.simulation-usage/1"


@dataclass(frozen=True)
class Usage:
    """What one run of a process took.

    Attributes:
        building_s: seconds until it was ready to draw, or until its end.
        building_cpu_s: seconds of all cores until then; ``None`` where they cannot be read.
        drawing_s: seconds from then on; ``None`` if it never was ready.
        cpu_s: seconds of all cores until its end.
        peak_bytes: largest memory of its processes together.
    """

    building_s: float
    building_cpu_s: float | None
    drawing_s: float | None
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class StageUsage:
    """What a stage of a route took, all its runs together.

    Attributes:
        building_seconds: from the start of its process until all was built and pictures could be
            drawn, or until its end; of several runs the longest.
        building_cpu_seconds: seconds of all cores in that time; null where they cannot be read.
        drawing_seconds: from then on, of all runs.
        pictures: outputs that came in that time.
        cpu_seconds: seconds of all cores, of all runs.
        peak_bytes: largest memory of its processes together, of any run.
    """

    building_seconds: NotNegative
    building_cpu_seconds: NotNegative | None
    drawing_seconds: NotNegative
    pictures: Count
    cpu_seconds: NotNegative
    peak_bytes: Count

    @classmethod
    def of(cls, used: Usage, pictures: int) -> "StageUsage":
        """Return that of one run, in which so many outputs came."""
        return cls(
            round(used.building_s, 1),
            None if used.building_cpu_s is None else round(used.building_cpu_s, 1),
            round(used.drawing_s or 0.0, 1),
            pictures,
            round(used.cpu_s, 1),
            used.peak_bytes,
        )

    @property
    def drawing_cpu_seconds(self) -> float | None:
        """Seconds of all cores since pictures could be drawn; ``None`` where they are unknown."""
        building = self.building_cpu_seconds
        return None if building is None else round(self.cpu_seconds - building, 1)

    def and_then(self, later: "StageUsage") -> "StageUsage":
        """Return that of two runs together."""
        longest = max(self, later, key=lambda one: one.building_seconds)
        return StageUsage(
            longest.building_seconds,
            longest.building_cpu_seconds,
            round(self.drawing_seconds + later.drawing_seconds, 1),
            self.pictures + later.pictures,
            round(self.cpu_seconds + later.cpu_seconds, 1),
            max(self.peak_bytes, later.peak_bytes),
        )


@dataclass(frozen=True)
class UsageRecord:
    """What the stages of a route took.

    Attributes:
        stages: by their names.
        schema: version of the format.
    """

    stages: Mapping[PlainName, StageUsage] = field(default_factory=dict)
    schema: Literal["esrdeploy.simulation-usage/1"] = SCHEMA

    @property
    def whole(self) -> StageUsage | None:
        """What the stages took, one after another; ``None`` where none is recorded."""
        stages = list(self.stages.values())
        if not stages:
            return None
        cpu = [one.building_cpu_seconds for one in stages]
        known = [seconds for seconds in cpu if seconds is not None]
        return StageUsage(
            round(sum(one.building_seconds for one in stages), 1),
            round(sum(known), 1) if len(known) == len(cpu) else None,
            round(sum(one.drawing_seconds for one in stages), 1),
            sum(one.pictures for one in stages),
            round(sum(one.cpu_seconds for one in stages), 1),
            max(one.peak_bytes for one in stages),
        )

    def document(self) -> dict[str, Any]:
        """Return it as ``--json`` has it: of each figure a mapping by stage."""
        stages = self.stages.items()
        return {
            "seconds": {k: round(v.building_seconds + v.drawing_seconds, 1) for k, v in stages},
            "building_seconds": {name: one.building_seconds for name, one in stages},
            "building_cpu_seconds": {name: one.building_cpu_seconds for name, one in stages},
            "drawing_seconds": {name: one.drawing_seconds for name, one in stages},
            "pictures": {name: one.pictures for name, one in stages},
            "cpu_seconds": {name: one.cpu_seconds for name, one in stages},
            "peak_mb": {name: round(one.peak_bytes / 1e6) for name, one in stages},
        }


def read_usage(folder: Path) -> UsageRecord:
    """Return what the stages of a route took so far; nothing where none was recorded.

    Raises:
        UsageError: what stands there cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        return UsageRecord()
    return read(path, UsageRecord, UsageError, "take it away, or name another folder with --out")


def keep_usage(folder: Path, stage: str, now: StageUsage, *, anew: bool) -> None:
    """Add what a stage took to the record of a route.

    Args:
        folder: of the route.
        stage: its name.
        now: what its last run took.
        anew: what earlier runs of it took does not count.

    Raises:
        UsageError: the record cannot be read or written.
    """
    stages = dict(read_usage(folder).stages)
    before = stages.get(stage)
    stages[stage] = now if before is None or anew else before.and_then(now)
    write_atomically(folder / NAME, encode(UsageRecord(stages)))
