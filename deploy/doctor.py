"""Examine an installation: what is there, what this machine can do, and what to do about the rest.

Libraries are not only looked up but loaded: one that is installed and cannot be is the likeliest
cause of a build that does not begin. Nothing is downloaded and nothing written.
"""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import (
    PackageNotFoundError,
    metadata,
    packages_distributions,
    version,
)
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from calib.extras import PACKAGE, install_command, pip_install, requirements
from deploy.network.model_listing import catalogue
from deploy.runtime.cpu import this_machine

Status = Literal["good", "missing", "broken"]

EXTRAS = {
    "cluster": "calibrates on several machines",
    "fid": "scores pictures by FID",
    "ncnn": "runs and checks ncnn bundles",
    "openvino": "compares and times files in OpenVINO, and makes its bundles",
    "sign": "signs builds, bundles and verdicts, and checks signatures",
    "spandrel": "reads weights of other architectures",
    "video": "enlarges clips",
}
"""What each extra of the package is for that a user may want."""

_ROOM_MB = 500
"""What a build of the largest network writes, with its bundle."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        what: its name.
        status: ``missing`` is a pity, ``broken`` a fault: without it no build can be made.
        found: what was found of it.
        to_do: what to do about it; empty where nothing is to be done.
    """

    what: str
    status: Status
    found: str
    to_do: str = ""


@dataclass(frozen=True)
class Examination:
    """All that was looked for.

    Attributes:
        findings: in the order in which a person wants to read them.
    """

    findings: tuple[Finding, ...]

    @cached_property
    def works(self) -> bool:
        """Whether a build can be made here."""
        return all(finding.status != "broken" for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {"works": self.works, "findings": [asdict(finding) for finding in self.findings]}


def examine(folder: Path) -> Examination:
    """Look at the machine, the libraries, the extras, the weights and the disk.

    Args:
        folder: where builds are to be written; it need not exist yet.
    """
    return Examination((*_machine(), *_libraries(), *_extras(), *_weights(), _disk(folder)))


def _machine() -> Iterator[Finding]:
    yield Finding("Python", "good", f"{platform.python_version()}, esrdeploy {version(PACKAGE)}")
    cores = os.cpu_count()
    yield Finding("processor", "good", f"{cores} cores, {this_machine()}", _what_saturates())


def _what_saturates() -> str:
    if this_machine().saturates:
        return "'esrdeploy inspect FILE' counts the convolutions of a file that can saturate here"
    return ""


def _libraries() -> Iterator[Finding]:
    good = []
    for requirement in requirements(None):
        found = _installed(requirement)
        if found.status == "good":
            good.append(f"{found.what} {found.found}")
        else:
            yield replace(found, status="broken", to_do=f"{pip_install()} '{requirement}'")
    yield Finding("libraries", "good", ", ".join(good))


def _extras() -> Iterator[Finding]:
    for extra, purpose in EXTRAS.items():
        found = [_installed(requirement) for requirement in requirements(extra)]
        status: Status = "good"
        to_do = ""
        if not found or any(one.status != "good" for one in found):
            # An extra that cannot be loaded stands in the way of what it is for, and nothing else.
            status, to_do = "missing", install_command(extra)
        libraries = ", ".join(f"{one.what} {one.found}" for one in found) or "none for this Python"
        yield Finding(f"extra {extra}", status, f"{libraries}; {purpose}", to_do)


def _installed(requirement: Requirement) -> Finding:
    """Return whether a library is there, is new enough, and can be loaded."""
    name = requirement.name
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, "missing", "not installed")
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(name, "broken", f"{found}, where {requirement.specifier} is needed")
    try:
        if name == "spandrel":
            # What it imports may lack something here. That takes torch, which takes seconds.
            from deploy.network.spandrel_module.library import open_library  # noqa: PLC0415

            open_library()
        for module in _modules(name):
            import_module(module)
    except Exception as error:  # noqa: BLE001  # whatever a broken library raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Finding(name, "broken", f"{found}, cannot be loaded: {reason}")
    return Finding(name, "good", found)


def _modules(name: str) -> list[str]:
    """Return the packages that a distribution brings and that are meant to be imported."""
    wanted = canonicalize_name(name)
    modules = {module for module, owners in _owners().items() if wanted in owners}
    own = {module for module in modules if canonicalize_name(module) == wanted}
    return sorted(own or {module for module in modules if not module.startswith("_")})


@cache
def _owners() -> dict[str, frozenset[str]]:
    """Return which distributions bring a package that can be imported."""
    found = packages_distributions().items()
    return {module: frozenset(map(canonicalize_name, owners)) for module, owners in found}


def _weights() -> Iterator[Finding]:
    for row in catalogue():
        if row.weights is None:
            to_do = f"esrdeploy models --download {row.name}, or build --weights FILE"
            yield Finding(f"weights {row.name}", "missing", "not at hand", to_do)
        else:
            yield Finding(f"weights {row.name}", "good", row.weights)


def _disk(folder: Path) -> Finding:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    free_mb = shutil.disk_usage(there).free // 10**6
    found = f"{free_mb} MB free in {there}"
    if not os.access(there, os.W_OK):
        return Finding("disk", "broken", f"{there} cannot be written", "name another --out")
    if free_mb < _ROOM_MB:
        return Finding("disk", "missing", found, f"a build takes up to {_ROOM_MB} MB")
    return Finding("disk", "good", found)


def extras_offered() -> frozenset[str]:
    """Return the extras that the package declares, without those of who works on it."""
    return frozenset(metadata(PACKAGE).get_all("Provides-Extra") or ()) - {"dev", "site"}
