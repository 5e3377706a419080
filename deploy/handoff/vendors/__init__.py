"""Find the vendors of a handoff: each module here holds one, as its ``VENDOR``.

A file that is put here is a vendor; nothing else has to know of it.
"""

import pkgutil
from functools import cache
from importlib import import_module

from calib.errors import UsageError
from calib.meant import meant
from deploy.handoff.vendor import Vendor


@cache
def vendors() -> dict[str, Vendor]:
    """Return the vendors by name, in the order of their names."""
    found: dict[str, Vendor] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        vendor: Vendor = import_module(f"{__name__}.{module}").VENDOR
        found[vendor.name] = vendor
    return found


def vendor_name(name: str) -> str:
    """Return the name of the vendor that ``name`` is an alias of; other names as they are."""
    found = (vendor.name for vendor in vendors().values() if name.lower() in vendor.aliases)
    return next(found, name)


def find_vendor(name: str) -> Vendor:
    """Return the vendor of that name or alias.

    Raises:
        UsageError: there is none.
    """
    known = vendors()
    found = known.get(vendor_name(name))
    takers = [vendor.name for vendor in known.values() if name in vendor.profiles]
    takers.sort(key=lambda vendor: not name.startswith(f"{vendor}-"))
    if found is None and takers:
        raise UsageError(
            f"found --vendor {name}, which is a target of {' and '.join(takers)}: say --vendor "
            f"{takers[0]} --profile {name}"
        )
    if found is None:
        names = [name for vendor in known.values() for name in (vendor.name, *vendor.aliases)]
        raise UsageError(
            f"unknown vendor {name!r}; choose one of {', '.join(known)}; 'esrdeploy targets' says "
            f"who takes what{meant(name, names)}"
        )
    return found
