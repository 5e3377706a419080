"""Name how convolution weights differ from a reference: transposed, BGR, scaled, another model's.

Two weights of one convolution may differ in the scale of their channels (equalization) and by
rounding, but each small kernel keeps its shape. So kernels are compared by direction alone:

    likeness(a, b) = sum_k |a_k| cos(a_k, b_k) / sum_k |a_k|,  k over output and input channels

It is 1 for a weight and any channel scaling of it, about 0.99 after rounding to 8 bits, and near 0
for another network's. A weight that is unlike its reference, but like it once its axes are
exchanged or turned, was stored in the wrong layout.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx

from calib.arrays import Float32, Float64
from calib.graph import GraphIndex

_ALIKE = 0.9
_CLEARLY = 0.1  # how much better a wrong layout must explain a weight than the right one
_FOREIGN = 0.5
_SCALE_SPREAD = 0.05


def weight_faults(reference: Mapping[str, Float32], found: Mapping[str, Float32]) -> list[str]:
    """Name what was done to weights, one line each, in the reference's order.

    Args:
        reference: float32 ``[O, I, kH, kW]`` by name.
        found: what should equal them up to rounding and channel scaling, by the same names.
            Weights on one side only are left to others to report.

    Returns:
        No line for a weight that is as it should be. One line in all if most are foreign.
    """
    faults = {
        name: fault
        for name, weight in reference.items()
        if name in found and (fault := weight_fault(weight, found[name])) is not None
    }
    compared = sum(name in found for name in reference)
    foreign = [name for name, fault in faults.items() if fault == _UNLIKE]
    if compared and len(foreign) * 2 > compared:
        return [
            f"weights of another model: {len(foreign)} of {compared} convolutions have nothing in "
            "common with this model's"
        ]
    return [f"weight {name}: {fault}" for name, fault in faults.items()]


def convolution_weights(model: onnx.ModelProto) -> dict[str, Float32]:
    """Return the float value of every convolution's weight by the node's name.

    Codes behind a DequantizeLinear are restored, fp16 behind a Cast is widened. Weights that are
    computed in any other way are left out.
    """
    index = GraphIndex(model)
    return {
        node.name: weight
        for node in index.nodes
        if node.op_type == "Conv" and (weight := _restored(index, node.input[1])) is not None
    }


def weight_fault(reference: Float32, found: Float32) -> str | None:
    """Say what was done to one weight, ``None`` if nothing that has a name."""
    finite = np.isfinite(found)
    if not finite.all():
        return f"holds NaN or infinity in {found.size - np.count_nonzero(finite)} of {found.size}"
    straight = _likeness(reference, found)
    layouts = {name: _likeness(reference, back(found)) for name, back in _layouts(reference, found)}
    name, best = max(layouts.items(), key=lambda entry: entry[1], default=("", 0.0))
    if best >= _ALIKE and best >= straight + _CLEARLY:
        return name
    if found.shape != reference.shape:
        return f"has shape {list(found.shape)}, expected {list(reference.shape)}"
    if straight < _FOREIGN and np.any(reference):
        return _UNLIKE
    return _scaling(reference, found)


_UNLIKE = "has nothing in common with this model's"


def _layouts(
    reference: Float32, found: Float32
) -> Iterator[tuple[str, Callable[[Float32], Float32]]]:
    """Yield the wrong layouts that a weight of this shape can have, and what undoes each."""
    outputs, inputs, height, width = reference.shape
    if found.shape == reference.shape:
        yield "transposed (height and width of its kernels)", lambda w: w.swapaxes(2, 3)
        yield (
            "kernels turned by 180 degrees (convolution for correlation)",
            lambda w: w[:, :, ::-1, ::-1],
        )
        for axis, channels, side in ((1, inputs, "input"), (0, outputs, "output")):
            what = "channels swapped (BGR for RGB)" if channels == 3 else "channels reversed"
            yield f"{side} {what}", partial(np.flip, axis=axis)
    if found.size == reference.size:
        yield (
            "transposed (input and output channels)",
            lambda w: w.reshape(inputs, outputs, height, width).swapaxes(0, 1),
        )
        yield (
            "transposed (channels last: OHWI under the shape of OIHW)",
            lambda w: w.reshape(outputs, height, width, inputs).transpose(0, 3, 1, 2),
        )


def _likeness(reference: Float32, found: Float32) -> float:
    if reference.shape != found.shape:
        return 0.0
    kernels = [
        w.reshape(-1, w.shape[2] * w.shape[3]).astype(np.float64) for w in (reference, found)
    ]
    if kernels[0].shape[1] == 1:  # 1x1 kernels have a sign alone: compare output channels
        kernels = [k.reshape(len(reference), -1) for k in kernels]
    norms = [np.linalg.norm(k, axis=1) for k in kernels]
    products = (kernels[0] * kernels[1]).sum(axis=1)
    shares = np.divide(products, norms[1], out=np.zeros_like(products), where=norms[1] > 0.0)
    total = norms[0].sum()
    return _signed_sum(shares.reshape(len(reference), -1)) / total if total else 0.0


def _signed_sum(shares: Float64) -> float:
    """Return the sum of ``[O, I]`` with rows and columns of channels that are turned round negated.

    Equalization may turn them round (quant/passes/reversal.py).
    """
    rows = np.where(shares.sum(axis=1) < 0.0, -1.0, 1.0)
    columns = np.where(rows @ shares < 0.0, -1.0, 1.0)
    rows = np.where(shares @ columns < 0.0, -1.0, 1.0)
    return float(rows @ shares @ columns)


def _scaling(reference: Float32, found: Float32) -> str | None:
    """Say by which one factor all of a weight was multiplied, if by one other than 1."""
    largest = float(np.abs(reference).max())
    if largest == 0.0:
        return None
    seen = np.abs(reference) > 0.25 * largest
    ratios = found[seen].astype(np.float64) / reference[seen]
    factor = float(np.median(ratios))
    if factor == 0.0 or float(np.abs(ratios / factor - 1.0).max()) > _SCALE_SPREAD:
        return None
    # Equalization multiplies by whole octaves; those say nothing. 255 is 0.006 octaves off one.
    octave = np.log2(abs(factor))
    if abs(octave - round(octave)) < 0.003:
        return None
    hint = " (missing / 255)" if min(abs(factor * 255 - 1), abs(factor / 255 - 1)) < 0.01 else ""
    return f"multiplied by {factor:.4g}{hint}"


def _restored(index: GraphIndex, name: str) -> Float32 | None:
    value = index.constant(name)
    if value is not None:
        return value.astype(np.float32)
    node = index.producer(name)
    if node is None:
        return None
    stored: Any = index.constant(node.input[0])
    if stored is None or node.op_type not in {"Cast", "DequantizeLinear"}:
        return None
    if node.op_type == "Cast":
        widened: Float32 = stored.astype(np.float32)
        return widened
    scale = index.constant(node.input[1])
    if scale is None:
        return None
    restored: Float32 = stored.astype(np.float32) * scale.reshape(-1, *[1] * (stored.ndim - 1))
    return restored
