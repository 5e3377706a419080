"""Build a torch module of weights whose architecture spandrel knows; its one door.

spandrel is given names and arrays that were read here: it opens no file, so nothing is unpickled.
What it takes and gives out is RGB in [0, 1], ``[N,3,H,W]`` to ``[N,3,H*scale,W*scale]``.

spandrel imports torchvision, for what no network here uses. The torchvision of PyPI is built beside
CUDA's torch: beside another its compiled half does not load, and its import then fails for want of
two operators. They are declared here in that case, without an implementation.
"""

import sys
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import nn

from calib.arrays import AnyArray, Float32
from calib.colours import RGB
from calib.errors import WeightsError
from calib.extras import install_command
from calib.tile import Tile

_PURPOSES = frozenset({"SR", "Restoration"})
_REASON_CHARACTERS = 300  # torch names every key
_TORCHVISION = "torchvision"
_COMPILED_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@dataclass(frozen=True, eq=False)
class SpandrelModule:
    """A network that spandrel has built.

    Attributes:
        module: in eval mode, without gradients, in float32.
        architecture: name and sizes, for people.
        scale: output pixels per input pixel along one side.
        described: spandrel's own description of it, which also draws pictures.
    """

    module: nn.Module
    architecture: str
    scale: int
    described: Any

    def draw(self, pictures: Float32) -> Float32:
        """Return what the module gives out for pictures, float32 ``[N,3,H,W]`` in [0,1]."""
        # A copy of them: some modules change what they are given.
        with torch.no_grad():
            drawn: Float32 = self.module(torch.tensor(pictures)).numpy()
        return drawn

    def draw_by_spandrel(self, pictures: Float32) -> Float32:
        """Return what spandrel itself draws of them, clipped to [0,1]."""
        drawn: Float32 = self.described(torch.tensor(pictures)).numpy()
        return drawn

    def fits(self, tile: Tile) -> bool:
        """Tell whether the module takes pictures of that size without padding."""
        height, width = tile.sides
        return bool(self.described.size_requirements.check(width, height))

    def next_size(self, tile: Tile) -> str:
        """Return the least size from that one on that the module takes, such as ``144x160``."""
        height, width = tile.sides
        more_width, more_height = self.described.size_requirements.get_padding(width, height)
        return f"{height + more_height}x{width + more_width}"


def detected(names: Collection[str]) -> str | None:
    """Return which architecture a state dict of these keys is of, if spandrel knows it."""
    keys = dict.fromkeys(names)
    for support in open_library().MAIN_REGISTRY.architectures("detection"):
        if support.detect(keys):
            return str(support.architecture.name)
    return None


def build_module(tensors: Mapping[str, AnyArray], source: str) -> SpandrelModule:
    """Build the network that a state dict is of.

    Args:
        tensors: all of its arrays by key, of an architecture that :func:`detected` names.
        source: file name for messages.

    Raises:
        WeightsError: they do not fit that architecture, or it enlarges no RGB pictures.
    """
    state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
    named = f"{source} looks like {detected(tensors)} to spandrel {version('spandrel')}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what its modules make torch warn of is not the user's
            described = open_library().ModelLoader().load_from_state_dict(state)
    except Exception as error:  # each architecture fails in its own way
        reason = shorten(str(error) or type(error).__name__, _REASON_CHARACTERS, placeholder=" ...")
        raise WeightsError(f"{named}, but does not fit it: {reason}") from error
    taken, given = described.input_channels, described.output_channels
    if described.purpose not in _PURPOSES or taken != RGB or given != RGB:
        raise WeightsError(
            f"{named}, a network for {described.purpose} that takes {taken} channels and gives "
            f"{given}; expected one that draws RGB pictures of RGB pictures alone"
        )
    module = _of_one_picture(described.model.float().eval().requires_grad_(requires_grad=False))
    sizes = ", ".join((described.architecture.name, *described.tags, f"x{described.scale}"))
    return SpandrelModule(module, sizes, int(described.scale), described)


def _of_one_picture(module: nn.Module) -> nn.Module:
    """Let a module take one picture alone: tracing makes inputs of its other arguments."""
    forward = module.forward

    def draw(picture: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = forward(picture)
        return drawn

    module.forward = draw
    return module


@cache
def open_library() -> Any:
    """Return spandrel, imported.

    Raises:
        WeightsError: it cannot be imported, or what it needs cannot.
    """
    try:
        _import_torchvision()
        import spandrel  # noqa: PLC0415  # an extra, behind what it imports
    except (ImportError, RuntimeError) as error:
        raise WeightsError(
            f"spandrel cannot be loaded: {error}; {install_command('spandrel')}"
        ) from error
    return spandrel


def _import_torchvision() -> None:
    """Import what spandrel imports, with declarations of the operators that it may lack."""
    try:
        import torchvision  # noqa: PLC0415  # comes with an extra
    except RuntimeError:
        if hasattr(torch.ops.torchvision, _COMPILED_OPERATORS[0]):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == _TORCHVISION]:
            del sys.modules[name]  # what is left of an import that failed
        for operator in _COMPILED_OPERATORS:
            _declarations().define(operator + _SIGNATURE)  # type: ignore[no-untyped-call]
        import torchvision  # noqa: F401, PLC0415  # see above


@cache
def _declarations() -> torch.library.Library:
    """Return torchvision's operators; what is declared there lasts as long as this is kept."""
    return torch.library.Library(_TORCHVISION, "DEF")  # type: ignore[no-untyped-call]
