"""Make a network of weights that fit an architecture of ours; its original is a torch module."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calib.arrays import Float32
from calib.colours import Channels
from calib.tile import Tile
from deploy.artifacts.network_record import ToldActivation
from deploy.network.architecture import SRVGG, Architecture, require_divisible
from deploy.network.checkpoint_network import CheckpointNetwork
from deploy.network.exported import ExportedModel
from deploy.network.known_models import models_of
from deploy.network.weights.checkpoint import Checkpoint
from deploy.runtime.runner import Runner


@dataclass(frozen=True)
class TorchNetwork(CheckpointNetwork):
    """Weights that have proved to be a generator of ours.

    Attributes:
        architecture: its sizes, read from the tensors.
        checkpoint: its tensors and where they came from.
        activation: what the user said of it, where the weights do not.
    """

    architecture: Architecture
    checkpoint: Checkpoint
    activation: ToldActivation | None = None

    @property
    def description(self) -> str:
        """The architecture in words."""
        return str(self.architecture)

    @property
    def channels(self) -> Channels:
        """Those that its tensors have."""
        return self.architecture.channels

    @property
    def same_architecture_as(self) -> tuple[str, ...]:
        """Names of the known models of these sizes."""
        return models_of(self.architecture)

    @property
    def told(self) -> ToldActivation | None:
        """What the user said."""
        return self.activation

    def notes(self) -> Iterator[str]:
        """Yield what was decided in reading the weights."""
        yield from self.checkpoint.notes
        relu = isinstance(self.architecture, SRVGG) and self.architecture.activation == "relu"
        if relu and self.checkpoint.activation is None and self.activation is None:
            yield (
                f"{self.checkpoint.origin} has no PReLU slopes: its activation is taken to be "
                "ReLU, which no tensor says; --activation leaky_relu takes it to be LeakyReLU"
            )

    def require_fitting(self, tile: Tile) -> None:
        """Refuse sides that a pixel-unshuffle cannot divide.

        Raises:
            UsageError: there is one.
        """
        require_divisible(self.architecture, tile)

    def scale_at(self, tile: Tile) -> int:  # noqa: ARG002  # the same at any size
        """Return the architecture's scale."""
        return self.architecture.scale

    def export(self, pictures: Sequence[Float32]) -> ExportedModel:
        """Trace the module, and prove the result against it.

        Raises:
            GraphError: the result is another network.
        """
        from deploy.network.export import export_float  # noqa: PLC0415  # torch takes seconds

        return export_float(self.architecture, self.checkpoint.tensors, pictures)

    def runner(self) -> Runner:
        """Return the torch module."""
        from deploy.network.torch_modules import torch_runner  # noqa: PLC0415  # takes seconds

        return torch_runner(self.architecture, self.checkpoint.tensors)
