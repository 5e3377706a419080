"""Say how to install a library or an extra of this package, wherever the package came from.

Into the environment that runs it: ``pip`` alone may be another Python's.

The package is on no index, so its name cannot be asked for there: a checkout, or the wheel in a
bundle, is what there is, and neither need be at hand where a message is read. What an extra adds is
on every index, and its names and versions are those that the installed package declares.
"""

import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "esrdeploy"

_LIBRARY_OF = {"cv2": "opencv-python", "skimage": "scikit-image"}  # others import as their name


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


def pip_install() -> str:
    """Return the words of a command that installs into the environment of this process.

    An environment without pip, as ``uv tool`` makes them, is installed into by uv.
    """
    python = shlex.quote(sys.executable)
    if find_spec("pip") is None:
        return f"uv pip install --python {python}"
    return f"{python} -m pip install"


def install_command(extra: str) -> str:
    """Return the command that installs what an extra adds to this environment.

    Where this Python is not taken by any of it, the words say so instead.
    """
    try:
        wanted = [f"'{requirement}'" for requirement in requirements(extra)]
    except PackageNotFoundError:  # run from a checkout that was never installed
        return f"{pip_install()} '.[{extra}]' in the checkout"
    if not wanted:
        return f"another Python: the extra {extra} has nothing for this one"
    return f"{pip_install()} {' '.join(wanted)}"


def missing_library(module: str) -> str | None:
    """Say which library is not installed, and what installs it.

    Args:
        module: what could not be imported, such as ``torch.nn``.

    Returns:
        One line; ``None`` where the package needs no library of that name.
    """
    top = module.partition(".")[0]
    library = canonicalize_name(_LIBRARY_OF.get(top, top))
    try:
        needed = [one for one in requirements(None) if canonicalize_name(one.name) == library]
    except PackageNotFoundError:  # run from a checkout that was never installed
        return f"{top} is not installed; {pip_install()} '.' in the checkout"
    if not needed:
        return None
    name = needed[0].name
    return f"{name} is not installed, and this needs it: {pip_install()} '{needed[0]}'"


def _holds(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate({"extra": extra})
    except UndefinedEnvironmentName:
        return False
