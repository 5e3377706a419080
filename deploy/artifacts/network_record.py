"""Record what network was built: its sizes, what it takes and what it gives out."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from calib.errors import UsageError
from calib.form import Form
from calib.output_kind import OutputKind
from calib.records import Count, Scale
from calib.tile import Tile

ToldActivation: TypeAlias = Literal["relu", "leaky_relu"]
"""Activations that no tensor tells apart, so that the user may have to say which it is."""


@dataclass(frozen=True)
class NetworkRecord:
    """The network that was built.

    Attributes:
        architecture: its kind and sizes, for people.
        known_as: its name in the model table; ``None`` for a network of one's own.
        same_architecture_as: known models of the same architecture and sizes.
        scale: output pixels per input pixel along one side.
        parameters: how many the float model has.
        macs: multiply-accumulates for one input, all pictures of its batch together.
        tile: its fixed input.
        activation: what stands behind its convolutions, where the user had to say it; ``None``:
            as the weights say.
        form: how its files take and give pictures.
        output: what it gives out: an enlarged picture, or a map of one value for each pixel.
    """

    architecture: str
    known_as: str | None
    same_architecture_as: tuple[str, ...]
    scale: Scale
    parameters: Count
    macs: Count
    tile: Tile
    activation: ToldActivation | None = None
    form: Form = field(default_factory=Form)
    output: OutputKind = "picture"

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """N, C, H and W of its output, in the usual form of pictures."""
        count, channels, *sides = self.tile.output_shape(self.scale)
        return count, channels if self.output == "picture" else 1, sides[0], sides[1]

    def require_picture(self, what: str) -> None:
        """Refuse a network that gives out no picture where one is needed.

        Raises:
            UsageError: it gives out a map; ``what`` was asked of it.
        """
        if self.output != "picture":
            raise UsageError(
                f"found {self.architecture}, which gives out a {self.output} of one value for each "
                f"pixel; {what} needs a network that enlarges pictures"
            )
