"""Identify the architecture that named tensors belong to.

Sizes come from tensor shapes alone; then the architecture's own list of tensors must equal
what was found, key by key and shape by shape. Anything else is refused: weights of one
architecture loaded into another give neon pictures, not an error.
"""

import math
import re
from collections.abc import Mapping

from calib.arrays import AnyArray
from calib.colours import RGB, channels_of
from calib.errors import UnknownArchitectureError, WeightsError
from deploy.network.architecture import (
    SRVGG,
    Architecture,
    RRDBNet,
    SRVGGActivation,
    tensor_shapes,
)
from deploy.network.known_models import ModelEntry, models_of
from deploy.network.weights.what_else import listed

Shapes = Mapping[str, tuple[int, ...]]

_UNSHUFFLE_FACTORS = (1, 2, 4)
_RGBA = 4
_MOST_UPSAMPLINGS = 3


def identify(
    tensors: Mapping[str, AnyArray], activation: SRVGGActivation | None = None
) -> Architecture:
    """Recognise the generator a state dict belongs to.

    Args:
        tensors: arrays by state dict key.
        activation: what stands behind the convolutions of an SRVGGNetCompact without PReLU slopes;
            no tensor tells ReLU, which ``None`` stands for, from LeakyReLU.

    Returns:
        The architecture, whose tensors are exactly these.

    Raises:
        UnknownArchitectureError: it may be a network of another architecture.
        WeightsError: it is one of these, but a key is missing or a shape does not fit; the message
            names it with the shape found and the shape expected.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if "conv_first.weight" in shapes:
        architecture: Architecture = _rrdbnet(shapes)
    elif "body.0.weight" in shapes:
        architecture = _srvgg(shapes, activation)
    else:
        raise UnknownArchitectureError(
            "the weights are of no architecture known here: found keys "
            f"{listed(shapes)}; expected 'conv_first.weight' (RRDBNet) or 'body.0.weight' "
            "(SRVGGNetCompact)"
        )
    _require_shapes(shapes, architecture)
    return architecture


def require_model(architecture: Architecture, entry: ModelEntry) -> None:
    """Refuse weights of another network than the one asked for by name.

    Raises:
        WeightsError: the architectures differ; the message says what was found and expected.
    """
    if architecture != entry.architecture:
        fits = models_of(architecture)
        remedy = "name a network of your own with --model, or leave --model out"
        if fits:
            remedy = f"they fit --model {' or '.join(fits)}"
        raise WeightsError(
            f"the weights are of another network than {entry.name!r}: found {architecture}, "
            f"expected {entry.architecture}; {remedy}"
        )


def _rrdbnet(shapes: Shapes) -> RRDBNet:
    blocks = _count(shapes, r"body\.(\d+)\.rdb\d\.")
    if not blocks:
        raise UnknownArchitectureError(_other_trunk(shapes))
    features, in_channels = _kernel(shapes, "conv_first.weight")
    last = shapes.get("conv_last.weight")  # where it is missing, that is said later
    outputs = last[0] if last else RGB
    channels = channels_of(outputs)
    unshuffle = math.isqrt(in_channels // channels)
    taken = {channels * factor**2 for factor in _UNSHUFFLE_FACTORS}
    if outputs != channels or in_channels not in taken:
        raise WeightsError(_channels("conv_first.weight", in_channels, "conv_last", outputs))
    growth, _ = _kernel(shapes, "body.0.rdb1.conv1.weight")
    upsamplings = _count(shapes, r"conv_up(\d)\.", start=1)
    if upsamplings > _MOST_UPSAMPLINGS or 2**upsamplings % unshuffle:
        raise WeightsError(
            f"found {upsamplings} doublings (conv_up1 ..) behind a pixel-unshuffle by {unshuffle}; "
            f"expected 0 to {_MOST_UPSAMPLINGS} that enlarge by as much at least"
        )
    return RRDBNet(blocks, features, growth, unshuffle, upsamplings, channels)


def _srvgg(shapes: Shapes, activation: SRVGGActivation | None) -> SRVGG:
    features, in_channels = _kernel(shapes, "body.0.weight")
    last = _count(shapes, r"body\.(\d+)\.") - 1
    outputs, _ = _kernel(shapes, f"body.{last}.weight")
    channels = channels_of(in_channels)
    scale = round((outputs / channels) ** 0.5)
    if in_channels == _RGBA:
        given = f"body.{last}, at scale^2 = {outputs / _RGBA:g},"
        raise WeightsError(_channels("body.0.weight", in_channels, given, in_channels))
    if outputs != channels * scale**2 or last % 2 or last < 2:
        raise UnknownArchitectureError(
            f"body.{last}.weight, the last convolution, gives {outputs} channels; expected "
            f"{channels} * scale^2 of an SRVGGNetCompact at an even position"
        )
    convs = (last - 2) // 2
    slopes = any(f"body.{2 * index + 1}.weight" in shapes for index in range(convs + 1))
    found = "prelu" if slopes else activation or "relu"
    return SRVGG(convs, features, scale, found, channels)


def _other_trunk(shapes: Shapes) -> str:
    own = {f"conv_{part}" for part in ("first", "body", "hr", "last", "up1", "up2", "up3")}
    other = [name for name in shapes if name.rpartition(".")[0] not in own]
    return (
        "the weights are of another architecture: conv_first is there, as in RRDBNet, but no such "
        f"tensor as 'body.0.rdb1.conv1.weight'; found {listed(other)}"
    )


def _channels(first: str, taken: int, last: str, given: int) -> str:
    """Return what is wrong with the channels of a picture."""
    found = f"{first} takes {taken} channels and {last} gives {given}"
    if taken == given == _RGBA:
        return (
            f"the network is for pictures with alpha: {found}; only networks for RGB and gray are "
            "built: enlarge alpha apart"
        )
    return (
        f"{found}; expected 3 given, and 3, 12 (behind pixel-unshuffle 2) or 48 (behind "
        "pixel-unshuffle 4) taken; of a network for gray pictures 1 given, and 1, 4 or 16 taken"
    )


def _kernel(shapes: Shapes, name: str) -> tuple[int, int]:
    shape = shapes.get(name)
    if shape is None or len(shape) != 4 or 0 in shape:
        found = "no such tensor" if shape is None else f"shape {list(shape)}"
        raise UnknownArchitectureError(f"{name}: found {found}, expected [outputs, inputs, 3, 3]")
    return shape[0], shape[1]


def _count(shapes: Shapes, pattern: str, *, start: int = 0) -> int:
    """Return how many numbers there are up to the largest that the pattern finds in the keys."""
    matches = (re.match(pattern, name) for name in shapes)
    largest = max((int(match.group(1)) for match in matches if match), default=start - 1)
    count = largest - start + 1
    if count > len(shapes):  # would make a list of expected tensors that never ends
        raise WeightsError(f"{len(shapes)} tensors cannot be numbered up to {largest}")
    return count


def _require_shapes(shapes: Shapes, architecture: Architecture) -> None:
    expected = tensor_shapes(architecture)
    missing = [name for name in expected if name not in shapes]
    unknown = [name for name in shapes if name not in expected]
    if missing or unknown:
        other = UnknownArchitectureError if unknown else WeightsError
        raise other(
            f"the weights look like {architecture}, but do not fit it: "
            f"missing keys {listed(missing)}; keys not expected {listed(unknown)}"
        )
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise WeightsError(
                f"the weights look like {architecture}, but {name} has shape "
                f"{list(shapes[name])}, expected {list(shape)}"
            )
