"""Load a network by model name, from the weights at hand or from a checkpoint."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calib.errors import UsageError
from deploy.network.architecture import SRVGG, Architecture
from deploy.network.known_models import MODELS, find_model
from deploy.network.weights.checkpoint import Checkpoint, load_checkpoint, load_model_checkpoint
from deploy.network.weights.identify import identify, require_model

_OWN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Network:
    """Weights that have proved to be a generator.

    Attributes:
        name: of the model; file names begin with it.
        architecture: its sizes, read from the tensors.
        checkpoint: its tensors and where they came from.
    """

    name: str
    architecture: Architecture
    checkpoint: Checkpoint

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
        return Network(name, architecture, checkpoint)
    if not _OWN_NAME.fullmatch(name):
        raise UsageError(
            f"--model {name!r} cannot begin a file name; use letters, digits, '.', '_' and '-'"
        )
    checkpoint = load_checkpoint(weights)
    return Network(name, identify(checkpoint.tensors, checkpoint.activation), checkpoint)
