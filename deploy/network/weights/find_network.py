"""Find the generator among everything that a weights file names, by structure.

Training code wraps a network in mappings (``params_ema``, ``state_dict``, ``model``) and puts
prefixes before its names (``module.``, ``_orig_mod.``, ``netG.``). Both are one thing here: the
path before a name that only a generator has. Whatever it says, what lies below is the network.

Several networks in one file are never chosen between in silence. A moving average beside the
weights that it is taken of, alike in every shape, is taken, as its authors' own code does, and
that is told; any other choice is the user's.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from calib.arrays import AnyArray
from calib.errors import UnknownArchitectureError, WeightsError
from deploy.network.weights.legacy_keys import current_names
from deploy.network.weights.saved_tensors import Entries, SavedTensor
from deploy.network.weights.what_else import listed, refuse_without_network

# No segment of a path is a number: what lies below one is a part of a network, not a network.
_PATH = r"((?:[^.\d][^.]*\.)*?)"
_MARKS = (
    r"(?:conv_first|conv_body|conv_hr|conv_last|trunk_conv|HRconv)\.(?:weight|bias)",
    r"(?:body|RRDB_trunk)\.\d+\.(?:rdb|RDB)\d\.conv\d\.weight",
    r"model\.1\.sub\.\d+\.RDB\d\.conv\d\.0\.weight",
    r"body\.0\.weight",
)
_MARKED = tuple(re.compile(_PATH + mark) for mark in _MARKS)
_AVERAGE = re.compile(r"(?:^|[._-])ema(?:[._-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class FoundNetwork:
    """The network of a weights file.

    Attributes:
        tensors: arrays by state dict key, in the order of the file; float32 where floating.
        notes: what was decided on the way, for the user to read.
    """

    tensors: Mapping[str, AnyArray] = field(repr=False)
    notes: tuple[str, ...] = ()


def find_network(entries: Entries, source: str) -> FoundNetwork:
    """Return the one network that a file holds, without what it is wrapped in.

    Args:
        entries: everything in the file by its path.
        source: file name for messages.

    Returns:
        Floating tensors alone, by today's keys.

    Raises:
        UnknownArchitectureError: there is no generator, but maybe another network.
        WeightsError: there is none, or several that differ; or one of its tensors is not
            floating point. The message says what there is.
    """
    tensors = (name for name, value in entries.items() if isinstance(value, SavedTensor))
    paths = {path for name in tensors if (path := _path(name)) is not None}
    if not paths:
        refuse_without_network(entries, source)
    networks = {
        path: current_names(_parameters(_tensors_below(entries, path, paths), path, source))
        for path in sorted(paths)
    }
    return _found(entries, networks, source)


def network_below(entries: Entries, paths: Collection[str], source: str) -> FoundNetwork:
    """Return the one network that a file holds below some paths, with all of its tensors.

    Args:
        entries: everything in the file by its path.
        paths: where a network was found, each empty or ending in a dot.
        source: file name for messages.

    Returns:
        Every tensor there by the file's own key: parameters, tables of integers and counters.

    Raises:
        WeightsError: there are several networks that differ.
    """
    networks = {path: _tensors_below(entries, path, paths) for path in sorted(paths)}
    return _found(entries, networks, source)


def _found(
    entries: Entries, networks: Mapping[str, Mapping[str, SavedTensor]], source: str
) -> FoundNetwork:
    chosen, notes = _chosen(networks, source)
    tensors = {name: tensor.read() for name, tensor in networks[chosen].items()}
    return FoundNetwork(tensors, (*notes, *_left_out(entries, networks, source)))


def _path(name: str) -> str | None:
    matches = (pattern.fullmatch(name) for pattern in _MARKED)
    return next((match.group(1) for match in matches if match), None)


def _tensors_below(entries: Entries, path: str, paths: Collection[str]) -> dict[str, SavedTensor]:
    deeper = tuple(other for other in paths if other != path and other.startswith(path))
    return {
        name.removeprefix(path): value
        for name, value in entries.items()
        if isinstance(value, SavedTensor)
        and name.startswith(path)
        and not (deeper and name.startswith(deeper))
    }


def _parameters(
    tensors: Mapping[str, SavedTensor], path: str, source: str
) -> dict[str, SavedTensor]:
    """Return the floating tensors; a counter is no part of a network here."""
    for name, value in tensors.items():
        if not value.floating and not value.counts:
            # An architecture with tables of integers may have convolutions of these names too.
            error = UnknownArchitectureError if _path(name) is None else WeightsError
            raise error(
                f"{source}: tensor {path + name!r} is {value.dtype}; expected floating point"
            )
    return {name: value for name, value in tensors.items() if value.floating}


def _chosen(
    networks: Mapping[str, Mapping[str, SavedTensor]], source: str
) -> tuple[str, tuple[str, ...]]:
    averages = [path for path in networks if _AVERAGE.search(path)]
    first = averages[0] if averages else next(iter(networks))
    others = [path for path in networks if path != first]
    if all(_same_values(networks[first], networks[path]) for path in others):
        return first, ()
    alike = all(_shapes(networks[first]) == _shapes(networks[path]) for path in others)
    if len(averages) == 1 and alike:
        named = ", ".join(_spelled(path) for path in others)
        return first, (
            f"{source} holds {_spelled(first)} beside {named}: {_spelled(first)}, the moving "
            "average of its training, is taken",
        )
    found = ", ".join(f"{_spelled(path)} ({len(networks[path])} tensors)" for path in networks)
    raise WeightsError(
        f"{source} holds {len(networks)} different networks: {found}; expected one: save the "
        "state dict of the one you mean in a file of its own"
    )


def _shapes(network: Mapping[str, SavedTensor]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in network.items()}


def _same_values(first: Mapping[str, SavedTensor], second: Mapping[str, SavedTensor]) -> bool:
    return _shapes(first) == _shapes(second) and all(
        np.array_equal(tensor.read(), second[name].read(), equal_nan=True)
        for name, tensor in first.items()
    )


def _left_out(entries: Entries, paths: Collection[str], source: str) -> tuple[str, ...]:
    """Name the tensors that belong to no network found."""
    beside = tuple(paths)
    names = [
        name
        for name, value in entries.items()
        if isinstance(value, SavedTensor) and not value.counts and not name.startswith(beside)
    ]
    if not names:
        return ()
    roots = listed(dict.fromkeys(_root(name, paths) for name in names))
    return (f"{source}: {len(names)} tensors beside the network are left out: {roots}",)


def _root(name: str, paths: Collection[str]) -> str:
    """Return the start of a name up to where it leaves the paths of all networks.

    >>> _root("state_dict.net_d.conv0.weight", {"state_dict.net_g."})
    'state_dict.net_d'
    """
    words = name.split(".")
    starts = (".".join(words[:end]) for end in range(1, len(words)))
    outside = (start for start in starts if not any(path.startswith(f"{start}.") for path in paths))
    return next(outside, name)


def _spelled(path: str) -> str:
    return repr(path.rstrip(".")) if path else "an unwrapped network"
