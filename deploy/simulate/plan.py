"""Plan a simulation: which toolchain, what has to be installed for it, from which Python.

Nothing is installed by a plan: whoever shows it to the user decides.
"""

import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calib.errors import UsageError
from deploy.simulate.environment import Place
from deploy.simulate.pythons import find_python
from deploy.simulate.toolchain import Program, Toolchain

_NPM = Program("npm", ("npm",))


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
        programs: of this machine that it runs, by their names.
    """

    request: SimulationRequest
    toolchain: Toolchain
    places: tuple[Place, ...]
    programs: Mapping[str, Path] = field(default_factory=dict)

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
        UsageError: this machine cannot run the toolchain, a program or a Python of its version is
            not found, or it has no such route.
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
    programs = {one.name: _find_program(one, toolchain) for one in toolchain.programs}
    places = [Place.of(toolchain.name, one) for one in toolchain.environments]
    if any(place.environment.npm and not place.made for place in places):
        _find_program(_NPM, toolchain)
    found = [
        place
        if place.made
        else place.made_from(find_python(place.environment.pythons, request.pythons))
        for place in places
    ]
    return SimulationPlan(request, toolchain, tuple(found), programs)


def _find_program(program: Program, toolchain: Toolchain) -> Path:
    """Return the path of a program.

    Raises:
        UsageError: it is not on ``PATH``.
    """
    found = next(filter(None, map(shutil.which, program.commands)), None)
    if found is None:
        names = " or ".join(program.commands)
        raise UsageError(
            f"{toolchain.name} needs {program.name}, and found no {names} on PATH; install it"
        )
    return Path(found)
