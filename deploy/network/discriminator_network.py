"""Make a network of a U-Net discriminator's weights; its original is a torch module.

It gives out a map, the logit of each pixel's being of a photograph. The graph
(deploy/network/discriminator.py) and the module are written apart, and each proves the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calib.arrays import Float32
from calib.colours import RGB, Channels
from calib.errors import DiscriminatorError, UsageError, WeightsError
from calib.output_kind import OutputKind
from calib.tile import Tile
from deploy.network.canonical_graph import normal_form, require_sound
from deploy.network.checkpoint_network import CheckpointNetwork
from deploy.network.discriminator import SIDES_DIVIDE_BY, discriminator_graph
from deploy.network.exported import MIN_PSNR_DB, ExportedModel, half_noise, named
from deploy.network.weights.checkpoint import Checkpoint
from deploy.network.weights.discriminator import load_discriminator
from deploy.runtime.runner import Runner
from quant.passes.equivalence import Probe, outputs_of, require_equivalent


@dataclass(frozen=True)
class DiscriminatorNetwork(CheckpointNetwork):
    """Weights that have proved to be a U-Net discriminator's.

    Attributes:
        checkpoint: its tensors, spectral normalization folded, and where they came from.
    """

    checkpoint: Checkpoint

    @property
    def description(self) -> str:
        """The architecture in words."""
        return f"unet-discriminator, {len(self.checkpoint.tensors['conv0.weight'])} features"

    @property
    def channels(self) -> Channels:
        """RGB."""
        return RGB

    @property
    def output(self) -> OutputKind:
        """A map of logits."""
        return "map"

    @property
    def likeness(self) -> str:
        """What it is beside the known models, which are generators."""
        return "it judges pictures and enlarges none"

    def require_fitting(self, tile: Tile) -> None:
        """Refuse sides that it cannot halve three times.

        Raises:
            UsageError: there is one.
        """
        if any(side % SIDES_DIVIDE_BY for side in tile.sides):
            fitting = "x".join(
                str(-(-side // SIDES_DIVIDE_BY) * SIDES_DIVIDE_BY) for side in tile.sides
            )
            raise UsageError(
                f"found --size {tile.size}, {self.description} needs sides that {SIDES_DIVIDE_BY} "
                f"divides; choose {fitting}"
            )

    def scale_at(self, tile: Tile) -> int:  # noqa: ARG002  # the same at any size
        """Return 1: a map has the sides of its picture."""
        return 1

    def export(self, pictures: Sequence[Float32]) -> ExportedModel:
        """Write the graph, and prove it against the torch module.

        Raises:
            GraphError: the two differ.
        """
        inputs, tensors = half_noise(pictures), self.checkpoint.tensors
        model = normal_form(discriminator_graph(tensors, *inputs[0].shape[2:]))
        require_sound(model, tensors)
        run = self.runner()
        expected = [run(values) for values in inputs]
        outputs = outputs_of(model, inputs)
        proven = require_equivalent(
            outputs, named(expected), min_psnr_db=MIN_PSNR_DB, parties="the graph and torch"
        )
        return ExportedModel(model, proven, tuple(map(Probe, inputs, outputs)), tuple(expected))

    def runner(self) -> Runner:
        """Return the torch module."""
        from deploy.network.torch_modules import discriminator_runner  # noqa: PLC0415  # torch

        return discriminator_runner(self.checkpoint.tensors)


def discriminator_network(
    name: str, weights: Path, refusal: DiscriminatorError
) -> DiscriminatorNetwork:
    """Read a discriminator under a name of the user's choice.

    Args:
        name: file names begin with it.
        weights: the checkpoint.
        refusal: why it is no generator's.

    Raises:
        DiscriminatorError: nor is it a whole U-Net discriminator's.
    """
    try:
        return DiscriminatorNetwork(name, None, load_discriminator(weights))
    except WeightsError as error:
        raise DiscriminatorError(f"{refusal}; this is no whole one: {error}") from error
