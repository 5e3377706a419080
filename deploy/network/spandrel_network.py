"""Make a network of weights that spandrel knows; its original is spandrel's torch module."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.colours import RGB, Channels
from calib.errors import UnknownArchitectureError, UsageError
from calib.tile import Tile
from deploy.network.checkpoint_network import CheckpointNetwork
from deploy.network.exported import ExportedModel
from deploy.network.spandrel_module.export import export_module
from deploy.network.spandrel_module.find import find_known
from deploy.network.spandrel_module.library import SpandrelModule, build_module
from deploy.network.weights.checkpoint import Checkpoint, load_entries, require_finite
from deploy.runtime.runner import Runner


@dataclass(frozen=True)
class SpandrelNetwork(CheckpointNetwork):
    """Weights of an architecture that is not ours, and that spandrel has a module for.

    Attributes:
        built: the module.
        checkpoint: its floating tensors and where they came from.
    """

    built: SpandrelModule
    checkpoint: Checkpoint

    @property
    def description(self) -> str:
        """The architecture in words."""
        return self.built.architecture

    @property
    def channels(self) -> Channels:
        """RGB: others are refused."""
        return RGB

    @property
    def libraries(self) -> tuple[str, ...]:
        """What its modules come from."""
        return ("spandrel",)

    def notes(self) -> Iterator[str]:
        """Yield what was decided in reading the weights."""
        yield from self.checkpoint.notes

    def require_fitting(self, tile: Tile) -> None:
        """Refuse a size that the module would have to pad.

        Raises:
            UsageError: it is one.
        """
        if not self.built.fits(tile):
            raise UsageError(
                f"found --size {tile.size}, which {self.built.architecture} cannot take; choose "
                f"{self.built.next_size(tile)}"
            )

    def scale_at(self, tile: Tile) -> int:  # noqa: ARG002  # the same at any size
        """Return the architecture's scale."""
        return self.built.scale

    def export(self, pictures: Sequence[Float32]) -> ExportedModel:
        """Trace the module, and prove the result against it.

        Raises:
            GraphError: it cannot be traced, or the result draws another picture.
        """
        (file,) = self.checkpoint.files
        return export_module(self.built, pictures, file)

    def runner(self) -> Runner:
        """Return the torch module."""
        return self.built.draw


def spandrel_network(
    name: str, weights: Path, refusal: UnknownArchitectureError
) -> SpandrelNetwork:
    """Read weights that none of our architectures fits.

    Args:
        name: file names begin with it.
        weights: a ``.pth`` or ``.safetensors``.
        refusal: why none does.

    Raises:
        UnknownArchitectureError: nor does spandrel know them.
        WeightsError: they do not fit the architecture that they look like, or enlarge no RGB
            pictures.
    """
    entries, digest = load_entries(weights)
    try:
        found = find_known(entries, weights.name)
    except UnknownArchitectureError as error:
        raise UnknownArchitectureError(f"{refusal}; nor is it one that spandrel knows") from error
    floating = {key: tensor for key, tensor in found.tensors.items() if tensor.dtype == np.float32}
    require_finite(floating, weights.name)
    built = build_module(found.tensors, weights.name)
    checkpoint = Checkpoint(
        floating, f"file {weights.name}", digest, {weights.name: digest}, notes=found.notes
    )
    return SpandrelNetwork(name, None, built, checkpoint)
