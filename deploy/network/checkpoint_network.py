"""Say what networks made from a checkpoint have in common, whoever has their module in torch."""

from collections.abc import Mapping

from calib.arrays import Float32
from deploy.artifacts.weights_record import WeightsRecord
from deploy.network.network import Network, OriginalKind
from deploy.network.weights.checkpoint import Checkpoint


class CheckpointNetwork(Network):
    """A network whose original is a torch module with the tensors of a checkpoint.

    Attributes:
        checkpoint: its tensors and where they came from.
    """

    checkpoint: Checkpoint

    @property
    def original_kind(self) -> OriginalKind:
        """A module in torch."""
        return "torch"

    @property
    def made_from(self) -> WeightsRecord:
        """The checkpoint."""
        return self.checkpoint.record()

    @property
    def parameters(self) -> Mapping[str, Float32]:
        """The tensors by the keys that they are read by."""
        return self.checkpoint.tensors
