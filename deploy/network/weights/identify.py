"""Identify the architecture that named tensors belong to.

Sizes come from tensor shapes alone; then the architecture's own list of tensors must equal
what was found, key by key and shape by shape. Anything else is refused: weights of one
architecture loaded into another give neon pictures, not an error.
"""

import re
from collections.abc import Mapping
from typing import Any

from calib.arrays import AnyArray
from calib.errors import WeightsError
from deploy.network.architecture import RGB, SRVGG, Architecture, RRDBNet, tensor_shapes
from deploy.network.known_models import ModelEntry, models_of

Shapes = Mapping[str, tuple[int, ...]]

_UNSHUFFLE = {RGB * factor**2: factor for factor in (1, 2, 4)}
_SHOWN = 4


def identify(tensors: Mapping[str, AnyArray]) -> Architecture:
    """Recognise the generator a state dict belongs to.

    Args:
        tensors: arrays by state dict key.

    Returns:
        The architecture, whose tensors are exactly these.

    Raises:
        WeightsError: a key is missing or unknown, or a shape does not fit; the message names
            it with the shape found and the shape expected.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if "conv_first.weight" in shapes:
        architecture: Architecture = _rrdbnet(shapes)
    elif "body.0.weight" in shapes:
        architecture = _srvgg(shapes)
    else:
        raise WeightsError(
            "the weights are of no architecture known here: found keys "
            f"{_listed(shapes)}; expected 'conv_first.weight' (RRDBNet) or 'body.0.weight' "
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
    features, in_channels = _kernel(shapes, "conv_first.weight")
    if in_channels not in _UNSHUFFLE:
        raise WeightsError(
            f"conv_first.weight takes {in_channels} channels; expected 3 (x4), 12 (x2, behind "
            "pixel-unshuffle 2) or 48 (x1, behind pixel-unshuffle 4)"
        )
    growth, _ = _kernel(shapes, "body.0.rdb1.conv1.weight")
    blocks = _count(shapes, r"body\.(\d+)\.rdb\d")
    return RRDBNet(blocks, features, growth, _UNSHUFFLE[in_channels])


def _srvgg(shapes: Shapes) -> SRVGG:
    features, _ = _kernel(shapes, "body.0.weight")
    last = _count(shapes, r"body\.(\d+)\.") - 1
    outputs, _ = _kernel(shapes, f"body.{last}.weight")
    scale = round((outputs / RGB) ** 0.5)
    if outputs != RGB * scale**2 or last % 2 or last < 2:
        raise WeightsError(
            f"body.{last}.weight, the last convolution, gives {outputs} channels; expected "
            "3 * scale^2 of an SRVGGNetCompact at an even position"
        )
    return SRVGG((last - 2) // 2, features, scale)


def _kernel(shapes: Shapes, name: str) -> tuple[int, int]:
    shape = shapes.get(name)
    if shape is None or len(shape) != 4 or 0 in shape:
        found = "no such tensor" if shape is None else f"shape {list(shape)}"
        raise WeightsError(f"{name}: found {found}, expected [outputs, inputs, 3, 3]")
    return shape[0], shape[1]


def _count(shapes: Shapes, pattern: str) -> int:
    """Return one more than the largest number that the pattern finds in the keys."""
    matches = (re.match(pattern, name) for name in shapes)
    count = 1 + max((int(match.group(1)) for match in matches if match), default=-1)
    if count > len(shapes):  # would make a list of expected tensors that never ends
        raise WeightsError(f"{len(shapes)} tensors cannot be numbered up to {count - 1}")
    return count


def _require_shapes(shapes: Shapes, architecture: Architecture) -> None:
    expected = tensor_shapes(architecture)
    missing = [name for name in expected if name not in shapes]
    unknown = [name for name in shapes if name not in expected]
    if missing or unknown:
        raise WeightsError(
            f"the weights look like {architecture}, but do not fit it: "
            f"missing keys {_listed(missing)}; keys not expected {_listed(unknown)}"
        )
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise WeightsError(
                f"the weights look like {architecture}, but {name} has shape "
                f"{list(shapes[name])}, expected {list(shape)}"
            )


def _listed(names: Mapping[str, Any] | list[str]) -> str:
    first = ", ".join(repr(name) for name in list(names)[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (first or "none") + more
