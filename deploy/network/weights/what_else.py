"""Say what a weights file holds that holds no generator, and where the generator is."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

from calib.errors import DiscriminatorError, UnknownArchitectureError, WeightsError
from deploy.network.weights.saved_tensors import Entries, OtherValue, SavedTensor

_SHOWN = 4
_TRAINING = re.compile(r"(?:optimizers?|schedulers?|lr_schedulers|optimizer_states)(?:\..*)?")
# The two critics of ESRGAN's and Real-ESRGAN's training.
_CRITIC = re.compile(
    r"(?:.*\.)?(?:conv\d\.(?:weight_orig|weight_u|parametrizations\.weight\..+)|conv\d_\d\.weight"
    r"|bn\d_\d\.weight)"
)


def refuse_without_network(entries: Entries, source: str) -> NoReturn:
    """Refuse a file by what is in it.

    Args:
        entries: everything in the file by its path.
        source: file name for messages.

    Raises:
        UnknownArchitectureError: it may be a network.
        DiscriminatorError: it is a discriminator.
        WeightsError: it is something else.
    """
    tensors = {name: value for name, value in entries.items() if isinstance(value, SavedTensor)}
    if any(_CRITIC.fullmatch(name) for name in tensors):
        raise DiscriminatorError(
            f"{source} is a discriminator, the critic of a network's training: found "
            f"{listed(tensors)}; expected the generator, which training saves apart "
            "(net_g_*.pth); 'esrdeploy eval --critic FILE' scores built models with a U-Net "
            "discriminator, 'esrdeploy build --weights FILE' builds one under a name of its own"
        )
    for problem in _problems(entries, tensors):
        raise WeightsError(f"{source} {problem}")
    raise UnknownArchitectureError(
        f"{source} is of no architecture known here: found keys {listed(tensors)}; expected "
        "'conv_first.weight' and 'body.0.rdb1.conv1.weight' (RRDBNet) or 'body.0.weight' "
        "(SRVGGNetCompact), behind any prefix"
    )


def listed(names: Iterable[str]) -> str:
    """Quote the first few names and count the others.

    >>> listed(["a", "b", "c", "d", "e", "f"])
    "'a', 'b', 'c', 'd' and 2 more"
    """
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return (", ".join(map(repr, every[:_SHOWN])) or "none") + more


def _problems(entries: Entries, tensors: Mapping[str, SavedTensor]) -> Iterator[str]:
    """Say why a file holds no network of any architecture."""
    if not entries:
        yield "holds an empty state dict; expected the tensors of a network"
    if any(map(_TRAINING.fullmatch, entries)) and all(map(_TRAINING.fullmatch, tensors)):
        yield (
            "is a training state, of optimizers and schedulers, without a network; the network is "
            "saved apart (models/net_g_*.pth)"
        )
    if not tensors:
        name, value = next(iter(entries.items()))
        kind = value.kind if isinstance(value, OtherValue) else ""
        yield f"holds no tensors: entry {name!r} is of type {kind}; expected a state dict"
    if not any(value.floating for value in tensors.values()):
        name, tensor = next(iter(tensors.items()))
        yield f"holds no weights: tensor {name!r} is {tensor.dtype}; expected floating point"
