"""List the convolutions of a Real-ESRGAN generator from its sizes: names, shapes, positions.

Two architectures, as BasicSR and Real-ESRGAN define them. Both upsample; ``scale`` is output
pixels per input pixel along one side.

``RRDBNet`` (ESRGAN, Wang et al. 2018): a trunk of residual-in-residual dense blocks, then
nearest-neighbour doublings: two in Real-ESRGAN, none to three elsewhere. Scales 2 and 1 of
Real-ESRGAN put a pixel-unshuffle by 2 or 4 in front, so the first convolution then takes 12 or 48
channels; in general ``scale = 2 ^ upsamplings / unshuffle``.

``SRVGG`` (SRVGGNetCompact): plain convolutions with PReLU, ReLU or LeakyReLU at input resolution, a
pixel-shuffle at the end and the nearest-upsampled input added to it.

Either takes and gives RGB pictures, or gray ones of one channel.

This is the one place that knows which tensors a checkpoint of each holds: checkpoints
are recognised, networks are built and operations are counted from these lists.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from calib.colours import RGB, Channels
from calib.errors import UsageError
from calib.tile import Tile

INPUT_NAME = "input"


OUTPUT_NAME = "output"


Activation: TypeAlias = Literal["none", "leaky_relu", "prelu", "relu"]
SRVGGActivation: TypeAlias = Literal["prelu", "relu", "leaky_relu"]

REAL_ESRGAN_UPSAMPLINGS = 2
KERNEL = 3
LEAKY_SLOPE = 0.2
SRVGG_LEAKY_SLOPE = 0.1  # what SRVGGNetCompact gives its LeakyReLU
RESIDUAL_SCALE = 0.2
DENSE_BLOCKS = 3
DENSE_CONVOLUTIONS = 5


@dataclass(frozen=True)
class Convolution:
    """One 3x3 convolution with bias, and the activation behind it.

    Attributes:
        name: module name in the state dict; ``<name>.weight`` and ``<name>.bias`` are its tensors.
        inputs: channels in.
        outputs: channels out.
        resolution: its output's side divided by the side of the network's input.
        activation: what follows it.
        prelu_name: module name of the PReLU behind it, if there is one.
    """

    name: str
    inputs: int
    outputs: int
    resolution: Fraction
    activation: Activation = "none"
    prelu_name: str | None = None

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor of this layer by its state dict key."""
        shapes: dict[str, tuple[int, ...]] = {
            f"{self.name}.weight": (self.outputs, self.inputs, KERNEL, KERNEL),
            f"{self.name}.bias": (self.outputs,),
        }
        if self.prelu_name is not None:
            shapes[f"{self.prelu_name}.weight"] = (self.outputs,)
        return shapes


@dataclass(frozen=True)
class RRDBNet:
    """Sizes of an RRDBNet.

    Attributes:
        blocks: residual-in-residual dense blocks.
        features: channels of the trunk.
        growth: channels each dense convolution adds.
        unshuffle: pixel-unshuffle factor in front: 1, 2 or 4.
        upsamplings: doublings behind the trunk; ``2 ** upsamplings >= unshuffle``.
        channels: of a picture, in and out.
    """

    blocks: int
    features: int
    growth: int
    unshuffle: int = 1
    upsamplings: int = REAL_ESRGAN_UPSAMPLINGS
    channels: Channels = RGB

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side: 1, 2, 4 or 8."""
        return int(2**self.upsamplings // self.unshuffle)

    @property
    def in_channels(self) -> int:
        """Channels that the first convolution takes: 3, 12 or 48, of gray 1, 4 or 16."""
        return self.channels * self.unshuffle**2

    def __str__(self) -> str:
        usual = self.upsamplings == REAL_ESRGAN_UPSAMPLINGS
        return (
            f"RRDBNet, {self.blocks} blocks, {self.features} features, "
            f"growth {self.growth}, x{self.scale}"
            f"{'' if usual else f', upsamplings {self.upsamplings}'}{_spelled(self.channels)}"
        )

    def convolutions(self) -> Iterator[Convolution]:
        """Yield every convolution in order of execution."""
        trunk = Fraction(1, self.unshuffle)
        features = self.features
        yield Convolution("conv_first", self.in_channels, features, trunk)
        for block in range(self.blocks):
            for dense in range(1, DENSE_BLOCKS + 1):
                yield from self._dense_block(f"body.{block}.rdb{dense}", trunk)
        yield Convolution("conv_body", features, features, trunk)
        for index in range(1, self.upsamplings + 1):
            doubled = 2**index * trunk
            yield Convolution(f"conv_up{index}", features, features, doubled, "leaky_relu")
        full = Fraction(self.scale)
        yield Convolution("conv_hr", features, features, full, "leaky_relu")
        yield Convolution("conv_last", features, self.channels, full)

    def _dense_block(self, name: str, resolution: Fraction) -> Iterator[Convolution]:
        for index in range(DENSE_CONVOLUTIONS - 1):
            inputs = self.features + index * self.growth
            conv = f"{name}.conv{index + 1}"
            yield Convolution(conv, inputs, self.growth, resolution, "leaky_relu")
        inputs = self.features + (DENSE_CONVOLUTIONS - 1) * self.growth
        yield Convolution(f"{name}.conv{DENSE_CONVOLUTIONS}", inputs, self.features, resolution)


@dataclass(frozen=True)
class SRVGG:
    """Sizes of an SRVGGNetCompact.

    Attributes:
        convs: convolutions between the first and the last, as the official ``num_conv``.
        features: channels between them.
        scale: output pixels per input pixel along one side.
        activation: behind every convolution but the last; LeakyReLU has ``SRVGG_LEAKY_SLOPE``.
        channels: of a picture, in and out.
    """

    convs: int
    features: int
    scale: int
    activation: SRVGGActivation = "prelu"
    channels: Channels = RGB

    def __str__(self) -> str:
        named = {"prelu": "", "relu": ", ReLU", "leaky_relu": ", LeakyReLU"}[self.activation]
        return (
            f"SRVGGNetCompact, {self.convs} convs, {self.features} features, "
            f"x{self.scale}{named}{_spelled(self.channels)}"
        )

    def convolutions(self) -> Iterator[Convolution]:
        """Yield every convolution in order of execution."""
        one = Fraction(1)
        for index in range(self.convs + 1):
            inputs = self.channels if index == 0 else self.features
            prelu = f"body.{2 * index + 1}" if self.activation == "prelu" else None
            yield Convolution(
                f"body.{2 * index}", inputs, self.features, one, self.activation, prelu
            )
        last = f"body.{2 * self.convs + 2}"
        yield Convolution(last, self.features, self.channels * self.scale**2, one)


def _spelled(channels: Channels) -> str:
    return "" if channels == RGB else ", gray"


Architecture: TypeAlias = RRDBNet | SRVGG


def require_divisible(architecture: Architecture, tile: Tile) -> None:
    """Refuse a tile whose sides a pixel-unshuffle cannot divide.

    Raises:
        UsageError: a side is no multiple of the network's unshuffle factor.
    """
    factor = max(one.resolution.denominator for one in architecture.convolutions())
    if any(side % factor for side in tile.sides):
        fitting = "x".join(str(-(-side // factor) * factor) for side in tile.sides)
        raise UsageError(
            f"found --size {tile.size}, the pixel-unshuffle of {architecture} needs sides that "
            f"{factor} divides; choose {fitting}"
        )


def tensor_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in the state dict, by key, in order of execution.

    >>> shapes = tensor_shapes(SRVGG(convs=0, features=8, scale=4))
    >>> shapes["body.1.weight"], shapes["body.2.weight"]
    ((8,), (48, 8, 3, 3))
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for convolution in architecture.convolutions():
        shapes.update(convolution.tensor_shapes())
    return shapes
