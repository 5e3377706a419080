"""Say how to install what an extra of this package adds, wherever the package itself came from.

The package is on no index, so its name cannot be asked for there: a checkout, or the wheel in a
bundle, is what there is, and neither need be at hand where a message is read. What an extra adds is
on every index, and its names and versions are those that the installed package declares.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import Requirement

PACKAGE = "esrdeploy"


def requirements(extra: str | None) -> Iterator[Requirement]:
    """Yield what the package needs by itself, or what an extra adds, without markers.

    Args:
        extra: name of the extra; ``None``: none. What it adds on another Python alone is left out.
    """
    for text in requires(PACKAGE) or ():
        requirement = Requirement(text)
        alone = _holds(requirement, "")
        if alone if extra is None else not alone and _holds(requirement, extra):
            requirement.marker = None
            yield requirement


def install_command(extra: str) -> str:
    """Return the command that installs what an extra adds.

    Where this Python is not taken by any of it, the words say so instead.
    """
    try:
        wanted = [f"'{requirement}'" for requirement in requirements(extra)]
    except PackageNotFoundError:  # run from a checkout that was never installed
        return f"pip install '.[{extra}]' in the checkout"
    if not wanted:
        return f"another Python: the extra {extra} has nothing for this one"
    return f"pip install {' '.join(wanted)}"


def _holds(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate({"extra": extra})
    except UndefinedEnvironmentName:
        return False
