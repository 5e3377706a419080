"""Hold what a toolchain made of a bundle, route by route."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.handoff.returned.verdict import Returned
from deploy.simulate.toolchain import Route, Toolchain
from deploy.simulate.usage import UsageRecord

NEAR_DB = 1.0
"""How far below QDQ reference semantics our scales may come out and be said to be kept."""


@dataclass(frozen=True, eq=False)
class RouteOutcome:
    """What came out of one route.

    Attributes:
        route: that was gone.
        returned: the verdict on its outputs.
        page: the report, its record beside it.
        usage: what each stage took.
    """

    route: Route
    returned: Returned
    page: Path
    usage: UsageRecord

    @property
    def passed(self) -> bool:
        """Whether every output is accepted."""
        return self.returned.passed

    @property
    def parity_db(self) -> tuple[float, float]:
        """Mean and minimum of parity with float, in dB."""
        return self.returned.mean_db("psnr_db"), min(i.psnr_db for i in self.returned.images)

    @property
    def beside_ours_db(self) -> float | None:
        """Mean parity less that of the same scales in QDQ reference semantics, in dB.

        ``None`` where the route runs no int8 of ours.
        """
        if self.route.precision != "int8":
            return None
        return self.returned.mean_db("psnr_db") - self.returned.mean_db("ours_db")

    @property
    def keeps_ours(self) -> bool | None:
        """Whether our scales come out within :data:`NEAR_DB` of what they mean, or better."""
        if self.route.own_scales or self.beside_ours_db is None:
            return None
        return self.beside_ours_db >= -NEAR_DB

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        mean_db, lowest_db = self.parity_db if self.returned.images else (None, None)
        return {
            "route": self.route.name,
            "summary": self.route.summary,
            "precision": self.route.precision,
            "profile": self.returned.profile,
            "own_scales": self.route.own_scales,
            "inputs": len(self.returned.images),
            "parity_db_mean": mean_db,
            "parity_db_lowest": lowest_db,
            "beside_reference_db": self.beside_ours_db if self.returned.images else None,
            "within_1_db": self.keeps_ours if self.returned.images else None,
            "verdict": "accepted" if self.passed else "NOT ACCEPTED",
            "reason": self.returned.reason,
            "report": str(self.page),
            **self.usage.document(),
        }


@dataclass(frozen=True, eq=False)
class MadeOutcome:
    """What a route made that nothing here executes.

    Attributes:
        route: that was gone.
        file: or folder, that it made.
        usage: what each stage took.
    """

    route: Route
    file: Path
    usage: UsageRecord

    @property
    def passed(self) -> bool:
        """Whether it counts as passed: it does, as what is not executed is not judged."""
        return True

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "route": self.route.name,
            "summary": self.route.summary,
            "precision": self.route.precision,
            "inputs": 0,
            "verdict": "made, not executed",
            "file": str(self.file),
            **self.usage.document(),
        }


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a toolchain made of a bundle.

    Attributes:
        toolchain: that ran it.
        model: name of the network.
        folder: of the outputs.
        routes: that were gone.
        left_out: routes that were not, with the reason.
    """

    toolchain: Toolchain
    model: str
    folder: Path
    routes: tuple[RouteOutcome | MadeOutcome, ...]
    left_out: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every output of every route is accepted."""
        return all(item.passed for item in self.routes)

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "toolchain": self.toolchain.name,
            "executes": self.toolchain.executes,
            "packages": [pin for one in self.toolchain.environments for pin in one.packages],
            "model": self.model,
            "folder": str(self.folder),
            "passed": self.passed,
            "routes": [item.record() for item in self.routes],
            "left_out": dict(self.left_out),
        }
