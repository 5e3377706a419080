"""Read the U-Net discriminator of a checkpoint, and fold its spectral normalization.

Spectral normalization (Miyato et al. 2018, https://arxiv.org/abs/1802.05957) divides a weight by
its largest singular value, of which training keeps an estimate:

    W = W_orig / sigma,    sigma = u^T M v,    M = W_orig as [outputs, inputs * kernel area]

torch saves ``weight_orig``, ``weight_u`` and ``weight_v``, or since 2.0
``parametrizations.weight.original``, ``.0._u`` and ``.0._v``; a weight that is plain already stays.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.errors import WeightsError
from deploy.network.discriminator import CONVOLUTIONS, discriminator_shapes
from deploy.network.weights.checkpoint import Checkpoint, load_entries
from deploy.network.weights.saved_tensors import Entries, SavedTensor
from deploy.network.weights.what_else import listed

_FIRST = re.compile(r"((?:[^.\d][^.]*\.)*?)conv0\.weight")
_SPELLINGS = (
    ("weight_orig", "weight_u", "weight_v"),
    (
        "parametrizations.weight.original",
        "parametrizations.weight.0._u",
        "parametrizations.weight.0._v",
    ),
)


def load_discriminator(path: Path) -> Checkpoint:
    """Read a discriminator from a ``.pth`` or ``.safetensors``.

    Returns:
        The tensors of :func:`deploy.network.discriminator.discriminator_shapes`.

    Raises:
        WeightsError: the file cannot be read, holds no such network, several, or part of one.
    """
    entries, digest = load_entries(path)
    folded = _folded(_below(entries, path.name), path.name)
    _require_whole(folded, path.name)
    for name, tensor in folded.items():
        if not np.isfinite(tensor).all():
            raise WeightsError(f"{path.name}: {name} is not finite; expected finite weights")
    return Checkpoint(folded, f"file {path.name}", digest, {path.name: digest})


def _below(entries: Entries, source: str) -> dict[str, Float32]:
    matches = (_FIRST.fullmatch(name) for name in entries)
    paths = [match.group(1) for match in matches if match]
    if len(paths) != 1:
        raise WeightsError(
            f"{source} holds {len(paths)} discriminators; expected one U-Net discriminator, whose "
            f"keys are 'conv0.weight', 'conv1.weight_orig' ..; found {listed(entries)}"
        )
    (path,) = paths
    return {
        name.removeprefix(path): value.read()
        for name, value in entries.items()
        if name.startswith(path) and isinstance(value, SavedTensor) and value.floating
    }


def _folded(tensors: Mapping[str, Float32], source: str) -> dict[str, Float32]:
    folded = dict(tensors)
    for layer in CONVOLUTIONS:
        for names in ([f"{layer}.{name}" for name in spelling] for spelling in _SPELLINGS):
            parts = [folded.pop(name) for name in names if name in folded]
            if parts and len(parts) < len(names):
                raise WeightsError(
                    f"{source}: spectral normalization of {layer} lacks one of {', '.join(names)}; "
                    "expected all three"
                )
            if parts:
                folded[f"{layer}.weight"] = _normalized(parts, layer, source)
    return folded


def _normalized(parts: Sequence[Float32], layer: str, source: str) -> Float32:
    """Return the weight divided by its largest singular value; see the top."""
    weight, u, v = (part.astype(np.float64) for part in parts)
    matrix = weight.reshape(len(weight), -1)
    if (*u.shape, *v.shape) != matrix.shape:
        raise WeightsError(
            f"{source}: the singular vectors of {layer} have shapes {list(u.shape)} and "
            f"{list(v.shape)}; expected [{matrix.shape[0]}] and [{matrix.shape[1]}]"
        )
    sigma = float(u @ matrix @ v)
    if sigma <= 0:
        raise WeightsError(
            f"{source}: the largest singular value of {layer} is estimated at {sigma:g}; expected "
            "more than 0"
        )
    return (weight / sigma).astype(np.float32)


def _require_whole(tensors: Mapping[str, Float32], source: str) -> None:
    expected = discriminator_shapes(len(tensors["conv0.weight"]))
    missing = [name for name in expected if name not in tensors]
    unknown = [name for name in tensors if name not in expected]
    if missing or unknown:
        raise WeightsError(
            f"{source} looks like a U-Net discriminator, but does not fit one: missing keys "
            f"{listed(missing)}; keys not expected {listed(unknown)}"
        )
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise WeightsError(
                f"{source} looks like a U-Net discriminator, but {name} has shape "
                f"{list(tensors[name].shape)}, expected {list(shape)}"
            )
