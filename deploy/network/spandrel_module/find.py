"""Find the network of a file by what spandrel recognises, behind whatever it is wrapped in."""

from collections.abc import Iterable

from calib.errors import UnknownArchitectureError
from deploy.network.spandrel_module.library import detected
from deploy.network.weights.find_network import FoundNetwork, network_below
from deploy.network.weights.saved_tensors import Entries, SavedTensor


def find_known(entries: Entries, source: str) -> FoundNetwork:
    """Return the one network of a file that spandrel knows, with all of its tensors.

    Args:
        entries: everything in the file by its path.
        source: file name for messages.

    Raises:
        UnknownArchitectureError: it knows none.
        WeightsError: there are several that differ.
    """
    names = [name for name, value in entries.items() if isinstance(value, SavedTensor)]
    known: list[str] = []
    for path in _paths(names):
        inside_another = any(path.startswith(other) for other in known)
        below = [name.removeprefix(path) for name in names if name.startswith(path)]
        if not inside_another and detected(below) is not None:
            known.append(path)
    if not known:
        raise UnknownArchitectureError(f"{source} is of no architecture that spandrel knows")
    return network_below(entries, known, source)


def _paths(names: Iterable[str]) -> list[str]:
    """Return what keys may be wrapped in, the shortest first: no segment of it is a number.

    >>> _paths(["params.body.0.weight", "params.last.bias"])
    ['', 'params.', 'params.body.', 'params.last.']
    """
    paths = {""}
    for name in names:
        path = ""
        for segment in name.split(".")[:-1]:
            if segment.isdecimal():
                break
            path += f"{segment}."
            paths.add(path)
    return sorted(paths, key=lambda path: (path.count("."), path))
