"""Say what the pipeline needs of a network, whatever it was made from.

A network has an original, which draws the right picture, and gives a float ONNX model that is
proven to draw the same. Who makes one:

    torch_network.py      weights of an architecture of ours; the original is a torch module
    discriminator_network.py   those of a U-Net discriminator; likewise
    spandrel_network.py   weights of one that spandrel knows; the original is its torch module
    checkpoint_network.py what these two share
    onnx_network.py       somebody's ONNX file; the original is that file in onnxruntime
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from calib.arrays import Float32
from calib.colours import Channels
from calib.errors import UsageError
from calib.output_kind import OutputKind
from calib.tile import Tile
from deploy.artifacts.network_record import ToldActivation
from deploy.artifacts.weights_record import WeightsRecord
from deploy.network.exported import ExportedModel
from deploy.network.known_models import MODELS, likeness
from deploy.runtime.runner import Runner

OriginalKind: TypeAlias = Literal["torch", "onnx"]
"""What runs the original: its name in parity figures."""

_Own = TypeVar("_Own", bound="Network")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Network(ABC):
    """A network that takes pictures in [0, 1], RGB or gray.

    A generator enlarges them by one whole number; a discriminator gives out a map.

    Attributes:
        name: file names begin with it.
        known_as: name in the model table; ``None`` for a network of one's own.
    """

    name: str
    known_as: str | None

    @property
    @abstractmethod
    def description(self) -> str:
        """Its kind and sizes, for people; the same for the same network."""

    @property
    @abstractmethod
    def channels(self) -> Channels:
        """Channels of the pictures that it takes, and gives if it is a generator."""

    @property
    def output(self) -> OutputKind:
        """What it gives out."""
        return "picture"

    @property
    @abstractmethod
    def original_kind(self) -> OriginalKind:
        """What the float model is compared with."""

    @property
    @abstractmethod
    def made_from(self) -> WeightsRecord:
        """The files that it was read from."""

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Float32]:
        """Its tensors as they were given, by name."""

    @property
    def same_architecture_as(self) -> tuple[str, ...]:
        """Names of the known models of its architecture and sizes."""
        return ()

    @property
    def told(self) -> ToldActivation | None:
        """Its activation, where the user had to say it."""
        return None

    @property
    def libraries(self) -> tuple[str, ...]:
        """Distributions beside esrdeploy's own that say what it computes."""
        return ()

    @property
    def likeness(self) -> str:
        """Which known models it is like, in words."""
        return likeness(self.same_architecture_as, self.made_from.released_as)

    def notes(self) -> Iterator[str]:
        """Yield what was decided in reading it, for the user to know."""
        yield from ()

    @abstractmethod
    def require_fitting(self, tile: Tile) -> None:
        """Refuse an input that the network cannot take.

        Raises:
            UsageError: the tile does not fit; the message says which does.
        """

    @abstractmethod
    def scale_at(self, tile: Tile) -> int:
        """Return output pixels per input pixel along one side.

        Raises:
            GraphError: it draws no enlarged picture of that size.
        """

    @abstractmethod
    def export(self, pictures: Sequence[Float32]) -> ExportedModel:
        """Make the float model for the size of some pictures, and prove it on them.

        Args:
            pictures: real images, float32 ``[1,C,H,W]`` in [0,1], all of one shape.

        Raises:
            GraphError: it cannot be exported, or the result is another network.
        """

    @abstractmethod
    def runner(self) -> Runner:
        """Return the original as a function of one picture at a time."""

    def called(self: _Own, name: str) -> _Own:
        """Return the same network under another name.

        Raises:
            UsageError: the name cannot begin a file name, or is another network's.
        """
        if name != self.known_as and any(entry.name == name for entry in MODELS):
            raise UsageError(f"--name {name} is the name of another network; choose a new one")
        require_plain(name, "--name")
        return replace(self, name=name)


def require_plain(name: str, option: str) -> None:
    """Refuse a name that no file can have on every system.

    Raises:
        UsageError: it is too long or has other characters; ``option`` is what it was given with.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise UsageError(
            f"{option} {name[:120]!r} cannot begin a file name: {_fault(name)}; use letters, "
            "digits, '.', '_' and '-', at most 100, and begin with a letter or digit"
        )


def _fault(name: str) -> str:
    """Say what of a name no file can begin with."""
    if not name:
        return "it is empty"
    strange = sorted({letter for letter in name if not re.fullmatch(r"[A-Za-z0-9._-]", letter)})
    if strange:
        return f"it has {', '.join(map(repr, strange[:3]))}"
    return f"it has {len(name)} letters" if name[:1].isalnum() else f"it begins with {name[:1]!r}"
