"""Load a network by model name, from the weights at hand or from a checkpoint."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from calib.errors import UsageError
from deploy.network.architecture import SRVGG, Architecture
from deploy.network.known_models import MODELS, find_model, likeness, models_of, released_as
from deploy.network.weights.checkpoint import Checkpoint, load_checkpoint, load_model_checkpoint
from deploy.network.weights.identify import identify, require_model

_OWN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Network:
    """Weights that have proved to be a generator.

    Attributes:
        name: file names begin with it.
        known_as: name in the model table; ``None`` for a network of one's own.
        architecture: its sizes, read from the tensors.
        checkpoint: its tensors and where they came from.
    """

    name: str
    architecture: Architecture
    checkpoint: Checkpoint
    known_as: str | None = None

    def called(self, name: str) -> "Network":
        """Return the same network under another name.

        Raises:
            UsageError: the name cannot begin a file name, or is another network's.
        """
        if name != self.known_as and any(entry.name == name for entry in MODELS):
            raise UsageError(f"--name {name} is the name of another network; choose a new one")
        return replace(self, name=_plain(name, "--name"))

    @property
    def likeness(self) -> str:
        """Which known models it is like, in words."""
        return likeness(models_of(self.architecture), released_as(self.checkpoint.sha256))

    def notes(self) -> Iterator[str]:
        """Yield what was decided in reading the weights, for the user to know."""
        yield from self.checkpoint.notes
        relu = isinstance(self.architecture, SRVGG) and self.architecture.activation == "relu"
        if relu and self.checkpoint.activation is None:
            yield (
                f"{self.checkpoint.origin} has no PReLU slopes: its activation is taken to be "
                "ReLU, which no tensor says"
            )


def load_network(name: str, weights: Path | None) -> Network:
    """Load a model of the table, or the user's own network under a name of their choice.

    Args:
        name: in the model table; any plain name when ``weights`` is given.
        weights: the user's checkpoint, or ``None`` for weights at hand.

    Raises:
        UsageError: the name is unknown and no weights are given, or is no plain file name.
        WeightsError: the weights are missing, corrupt, or of another network than the table's.
    """
    known = any(entry.name == name for entry in MODELS)
    if known or weights is None:
        entry = find_model(name)
        checkpoint = load_model_checkpoint(entry, weights)
        architecture = identify(checkpoint.tensors, checkpoint.activation)
        require_model(architecture, entry)
        return Network(name, architecture, checkpoint, name)
    _plain(name, "--model")
    checkpoint = load_checkpoint(weights)
    return Network(name, identify(checkpoint.tensors, checkpoint.activation), checkpoint)


def _plain(name: str, option: str) -> str:
    if not _OWN_NAME.fullmatch(name):
        raise UsageError(
            f"{option} {name!r} cannot begin a file name; use letters, digits, '.', '_' and '-'"
        )
    return name
