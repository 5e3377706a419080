"""Find the target that a user means, who may have named a vendor or a toolchain instead.

Targets, vendors and toolchains are three lists: what an int8 file is quantized for, who gets a
bundle, and what runs a bundle here. Some words are in several, and a reader who met ``rknn`` in one
tries it in the others.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from calib.errors import UsageError

if TYPE_CHECKING:
    from deploy.simulate.toolchain import Route, Toolchain
    from quant.targets import TargetProfile

_ANY = "qnn"
"""What to build for those who take a float file: 8 bits everywhere, as their chips compute."""


def find_target(name: str, option: str = "--target") -> "TargetProfile":
    """Return the profile of a target, by its name or the maker of the chip.

    Args:
        name: in the user's words.
        option: that it was given with.

    Raises:
        UsageError: there is no target of that name; where it is a vendor's or a toolchain's, the
            message says which target is for that.
    """
    from quant.targets import find_profile

    try:
        return find_profile(name)
    except UsageError:
        hint = _of_vendor(name, option) or _of_toolchain(name, option)
        if hint is None:
            raise
        raise UsageError(hint) from None


def _of_vendor(name: str, option: str) -> str | None:
    """Say which target is for a vendor; ``None`` where the word is of none."""
    from deploy.handoff.vendors import vendor_name, vendors

    vendor = vendors().get(vendor_name(name.lower()))
    if vendor is None:
        return None
    begun = f"found {option} {name}, which is a vendor of 'esrdeploy handoff'"
    if not vendor.profiles:
        return (
            f"{begun} and takes the float model: say {option} {_ANY}, or any other target, and "
            f"hand the build over with --vendor {vendor.name}"
        )
    return (
        f"{begun}: say {option} {' or '.join(vendor.profiles)}, and hand the build over with "
        f"--vendor {vendor.name}"
    )


def find_vendor_name(name: str) -> str:
    """Return the name of the vendor that the user means.

    Raises:
        UsageError: there is none; where the word is a toolchain's, the message says for whom a
            bundle is made that runs in it.
    """
    from deploy.handoff.vendors import find_vendor

    try:
        return find_vendor(name).name
    except UsageError:
        toolchain = _toolchain(name)
        if toolchain is None:
            raise
        raise UsageError(
            f"found --vendor {name}, which is a toolchain of 'esrdeploy simulate': say "
            f"{_taken_route(toolchain).lacking}, and run the bundle with 'esrdeploy simulate "
            f"--target {toolchain.name}'"
        ) from None


def _of_toolchain(name: str, option: str) -> str | None:
    """Say which target is for a toolchain; ``None`` where the word is of none."""
    toolchain = _toolchain(name)
    if toolchain is None:
        return None
    route = _taken_route(toolchain)
    return (
        f"found {option} {name}, which is a toolchain of 'esrdeploy simulate': say {option} "
        f"{route.profile or _ANY}, hand the build over with {route.lacking}, and run the bundle "
        f"with 'esrdeploy simulate --target {toolchain.name}'"
    )


def _toolchain(name: str) -> "Toolchain | None":
    from deploy.simulate.toolchains import find_toolchain

    with suppress(UsageError):
        return find_toolchain(name)
    return None


def _taken_route(toolchain: "Toolchain") -> "Route":
    """Return the route to speak of: one that runs a file with our scales, else the first."""
    ours = [route for route in toolchain.routes if route.profile is not None]
    return [*ours, *toolchain.routes][0]
