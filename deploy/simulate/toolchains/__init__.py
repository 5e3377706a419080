"""Find the toolchains: each module here holds one, as its ``TOOLCHAIN``.

A file that is put here is a toolchain; nothing else has to know of it.
"""

import pkgutil
from functools import cache
from importlib import import_module

from calib.errors import UsageError
from calib.meant import meant
from deploy.simulate.toolchain import Toolchain

REFUSED = {
    "dx-com": "DEEPX's licence is for customers who were supplied with their NPU",
    "mnn": "its commands install a package with whatever pip is on PATH and report usage to a "
    "server",
}
"""Toolchains that are never installed or run, with the reason."""

_REFUSED_ALIASES = {"deepx": "dx-com", "dxcom": "dx-com", "alibaba": "mnn"}


@cache
def toolchains() -> dict[str, Toolchain]:
    """Return the toolchains by name, in the order of their names."""
    found: dict[str, Toolchain] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        toolchain: Toolchain = import_module(f"{__name__}.{module}").TOOLCHAIN
        found[toolchain.name] = toolchain
    return found


def find_toolchain(name: str) -> Toolchain:
    """Return the toolchain of that name or alias.

    Raises:
        UsageError: there is none, or it may not be run.
    """
    known, asked = toolchains(), name.lower()
    refused = _REFUSED_ALIASES.get(asked, asked)
    if refused in REFUSED:
        raise UsageError(f"{refused} is not installed or run by esrdeploy: {REFUSED[refused]}")
    for toolchain in known.values():
        if asked == toolchain.name or asked in toolchain.aliases:
            return toolchain
    names = [word for one in known.values() for word in (one.name, *one.aliases)]
    raise UsageError(
        f"unknown toolchain {name!r}; choose one of {', '.join(known)}{meant(name, names)}"
    )
