r"""ncnn layers in, the text of a ``.param`` and the bytes of a ``.bin`` out; and int8 tables.

The forms are those that deploy/weights/ncnn.py reads. A convolution stored as int8 has ``8=2`` in
the ``.param``; its weights follow the flag 0x000D4B38, padded with zeros to 4 bytes, then the
float32 bias, one float32 scale per output channel and the float32 scale of its input. An ncnn
scale multiplies: ``code = round(value * scale)``, so it is the reciprocal of a QDQ scale.

A table, for ncnn2int8, has a line for each convolution's weights and then one for its input::

    NAME_param_0 scale scale ..         one per output channel
    NAME scale
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploy.weights.ncnn import FLOAT32_FLAG, MAGIC, Layer, Value

INT8_FLAG = 0x000D4B38
_ARRAY_KEY = -23300
_INT8_TERM = 8
_PER_LAYER_INPUT = 2

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Int8Convolution:
    """What an int8 convolution is stored as.

    Attributes:
        codes: int8 ``[O, I, 3, 3]`` in [-127, 127].
        weight_steps: float32 ``[O]``: real value of one code.
        input_step: real value of one code of the input, whose codes are in [-127, 127].
        bias: float32 ``[O]``.
    """

    codes: NDArray[np.int8]
    weight_steps: Array
    input_step: float
    bias: Array

    @property
    def weight_scales(self) -> Array:
        """float32 ``[O]``: the scales as ncnn takes them."""
        scales: Array = (1.0 / self.weight_steps.astype(np.float64)).astype(np.float32)
        return scales

    @property
    def input_scale(self) -> np.float32:
        """The scale of the input as ncnn takes it."""
        return np.float32(1.0 / float(self.input_step))


def param_text(layers: Sequence[Layer], int8: Mapping[str, Int8Convolution] | None = None) -> str:
    """Return the text of the ``.param``; the convolutions named in ``int8`` say so."""
    blobs = sum(len(layer.outputs) for layer in layers)
    lines = [MAGIC, f"{len(layers)} {blobs}"]
    for layer in layers:
        options = dict(layer.options)
        if layer.name in (int8 or {}):
            options[_INT8_TERM] = _PER_LAYER_INPUT
        counts = [str(len(layer.inputs)), str(len(layer.outputs))]
        words = [layer.kind, layer.name, *counts, *layer.inputs, *layer.outputs]
        lines.append(" ".join([*words, *(_option(key, value) for key, value in options.items())]))
    return "\n".join(lines) + "\n"


def bin_content(
    layers: Sequence[Layer], int8: Mapping[str, Int8Convolution] | None = None
) -> bytes:
    """Return the bytes of the ``.bin``: float32, or int8 for the convolutions named in ``int8``."""
    content = bytearray()
    for layer in layers:
        quantized = (int8 or {}).get(layer.name)
        if quantized is not None:
            content += INT8_FLAG.to_bytes(4, "little")
            codes = quantized.codes.tobytes()
            content += codes + bytes(-len(codes) % 4)
            for part in (quantized.bias, quantized.weight_scales, quantized.input_scale):
                content += np.asarray(part, "<f4").tobytes()
        elif layer.weight is not None:
            if layer.kind == "Convolution":
                content += FLOAT32_FLAG.to_bytes(4, "little")
            content += layer.weight.astype("<f4").tobytes()
            if layer.bias is not None:
                content += layer.bias.astype("<f4").tobytes()
    return bytes(content)


def table_text(int8: Mapping[str, Int8Convolution]) -> str:
    """Return the text of the ``.table`` that ncnn2int8 takes."""
    weights = [
        f"{name}_param_0 {' '.join(f'{scale:.9g}' for scale in entry.weight_scales)}"
        for name, entry in int8.items()
    ]
    inputs = [f"{name} {entry.input_scale:.9g}" for name, entry in int8.items()]
    return "\n".join([*weights, *inputs]) + "\n"


def _option(key: int, value: Value) -> str:
    """Spell an option; ncnn takes a number without point or exponent for an integer."""
    if isinstance(value, tuple):
        return ",".join([f"{_ARRAY_KEY - key}={len(value)}", *(f"{item:.9e}" for item in value)])
    return f"{key}={value}" if isinstance(value, int) else f"{key}={value:.9e}"
