"""Plan a simulation: which toolchain, what has to be installed for it, from which Python.

Nothing is installed by a plan: whoever shows it to the user decides.
"""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from calib.errors import UsageError
from deploy.simulate.environment import Place
from deploy.simulate.pythons import find_python
from deploy.simulate.toolchain import Toolchain


@dataclass(frozen=True)
class SimulationRequest:
    """What to simulate.

    Attributes:
        bundle: zip or folder.
        target: name of a toolchain, or an alias.
        out: folder for outputs; ``None``: ``MODEL-TARGET-simulated`` in the current one.
        routes: to go; none: all that the bundle has the files for.
        first: how many golden inputs to run; ``None``: all.
        pythons: interpreters of the user's to make environments from.
        limit_s: how long each step may take.
    """

    bundle: Path
    target: str
    out: Path | None = None
    routes: tuple[str, ...] = ()
    first: int | None = None
    pythons: tuple[Path, ...] = ()
    limit_s: float = 3600.0


@dataclass(frozen=True)
class SimulationPlan:
    """A simulation that can begin once its missing environments may be made.

    Attributes:
        request: what was asked for.
        toolchain: that is meant.
        places: of its environments, each with the Python to make it from where it is missing.
    """

    request: SimulationRequest
    toolchain: Toolchain
    places: tuple[Place, ...]

    @property
    def missing(self) -> tuple[Place, ...]:
        """Environments that have to be made."""
        return tuple(place for place in self.places if not place.made)

    @property
    def installation(self) -> tuple[str, ...]:
        """What has to be installed, where, how large and under which licence: lines for people."""
        if not self.missing:
            return ()
        lines = [f"{self.toolchain.name} needs packages that are not installed yet:"]
        for place in self.missing:
            environment = place.environment
            pins = ", ".join(environment.packages) or "no package"
            size = f"about {environment.size_mb / 1000:.1f} GB" if environment.size_mb else "small"
            lines.append(f"  {pins}, and what they ask for: {size} in {place.folder}")
            lines.append(f"  made from {place.base}")
        return (*lines, f"  licences: {self.toolchain.licence}")


def plan_simulation(request: SimulationRequest, toolchain: Toolchain) -> SimulationPlan:
    """Plan a simulation.

    Raises:
        UsageError: this machine cannot run the toolchain, no Python of its version is found, or it
            has no such route.
    """
    machine = platform.machine()
    if toolchain.machines and (sys.platform != "linux" or machine not in toolchain.machines):
        raise UsageError(
            f"{toolchain.name} runs on Linux, {' or '.join(toolchain.machines)}; this is "
            f"{sys.platform}, {machine}"
        )
    known = [route.name for route in toolchain.routes]
    for name in request.routes:
        if name not in known:
            raise UsageError(
                f"{toolchain.name} has no route {name!r}; choose of {', '.join(known)}"
            )
    places = [Place.of(toolchain.name, one) for one in toolchain.environments]
    found = [
        place
        if place.made
        else place.made_from(find_python(place.environment.pythons, request.pythons))
        for place in places
    ]
    return SimulationPlan(request, toolchain, tuple(found))
