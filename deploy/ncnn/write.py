r"""Write ncnn layers as the text of a ``.param`` and the bytes of a ``.bin``; write int8 tables.

The forms are those that deploy/ncnn/read.py reads. A convolution stored as int8 has ``8=2`` in
the ``.param``; its weights follow the flag 0x000D4B38, padded with zeros to 4 bytes, then the
float32 bias, one float32 scale per output channel and the float32 scale of its input. An ncnn
scale multiplies: ``q = round(value * scale)``, so it is the reciprocal of a QDQ scale.

A table, for ncnn2int8, has a line for each convolution's weights and then one for its input::

    NAME_param_0 scale scale ..         one per output channel
    NAME scale
"""

from collections.abc import Mapping, Sequence

import numpy as np

from calib.arrays import Float32
from calib.errors import GraphError
from deploy.ncnn.read import FLOAT32_FLAG, MAGIC, Layer, Value
from quant.qdq.int8_convolutions import Int8Convolution

INT8_FLAG = 0x000D4B38
_ARRAY_KEY = -23300
_INT8_TERM = 8
_PER_LAYER_INPUT = 2


def weight_scales(convolution: Int8Convolution) -> Float32:
    """Return float32 ``[O]``: the scales of a weight as ncnn takes them."""
    scales: Float32 = (1.0 / convolution.weight_scales.astype(np.float64)).astype(np.float32)
    return scales


def input_scale(convolution: Int8Convolution) -> np.float32:
    """Return the scale of a convolution's input as ncnn takes it.

    Raises:
        GraphError: the input has a zero point other than 0, which ncnn cannot say.
    """
    if convolution.input_zero_point != 0:
        raise GraphError(
            f"found an input with zero point {convolution.input_zero_point}; ncnn takes 0 alone"
        )
    scale: np.float32 = np.float32(1.0 / convolution.input_scale)
    return scale


def param_text(layers: Sequence[Layer], int8: Mapping[str, Int8Convolution] | None = None) -> str:
    """Return the text of the ``.param``.

    Args:
        layers: in running order.
        int8: convolutions that are stored as int8, by layer name.
    """
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
    """Return the bytes of the ``.bin``: float32, or int8 for the convolutions named in ``int8``.

    Raises:
        GraphError: the input of an int8 convolution has a zero point other than 0.
    """
    content = bytearray()
    for layer in layers:
        quantized = (int8 or {}).get(layer.name)
        if quantized is not None:
            content += INT8_FLAG.to_bytes(4, "little")
            codes = quantized.codes.tobytes()
            content += codes + bytes(-len(codes) % 4)
            for part in (quantized.bias, weight_scales(quantized), input_scale(quantized)):
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
        f"{name}_param_0 {' '.join(f'{scale:.9g}' for scale in weight_scales(entry))}"
        for name, entry in int8.items()
    ]
    inputs = [f"{name} {input_scale(entry):.9g}" for name, entry in int8.items()]
    return "\n".join([*weights, *inputs]) + "\n"


def _option(key: int, value: Value) -> str:
    """Spell an option; ncnn takes a number without point or exponent for an integer."""
    if isinstance(value, tuple):
        return ",".join([f"{_ARRAY_KEY - key}={len(value)}", *(f"{item:.9e}" for item in value)])
    return f"{key}={value}" if isinstance(value, int) else f"{key}={value:.9e}"
