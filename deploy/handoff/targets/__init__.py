"""The targets of a handoff: each module here holds one, as its ``TARGET``.

A file that is put here is a target; nothing else has to know of it.
"""

import pkgutil
from functools import cache
from importlib import import_module

from calib.errors import UsageError
from deploy.handoff.target import HandoffTarget


@cache
def handoff_targets() -> dict[str, HandoffTarget]:
    """Return the targets by name, in the order of their names."""
    found: dict[str, HandoffTarget] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        target: HandoffTarget = import_module(f"{__name__}.{module}").TARGET
        found[target.name] = target
    return found


def find_target(name: str) -> HandoffTarget:
    """Return the target of that name.

    Raises:
        UsageError: there is none.
    """
    targets = handoff_targets()
    if name not in targets:
        raise UsageError(f"unknown target {name!r}; choose one of {', '.join(targets)}")
    return targets[name]
