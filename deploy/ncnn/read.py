"""Read an ncnn ``.param`` text and its ``.bin`` as layers with float32 weights.

``.param`` (https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure)::

    7767517                                           magic
    268 473                                           layers, blobs
    Convolution Conv_1 1 1 a b 0=32 1=3 6=18432       type name #in #out blobs.. key=value..
                                    -23310=1,0.2      key <= -23300: array 10 = length,values..

``.bin`` holds, in layer order: for a Convolution a little-endian uint32 flag, the weights
``[out, in, 3, 3]`` (flag 0x01306B47: float16, padded with zeros to 4 bytes; flag 0: float32)
and the float32 bias without a flag; for a PReLU the float32 slopes without a flag. The file
ends with the last weight. Every other storage form (int8, quantized tables) is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from calib.arrays import Float32
from calib.errors import WeightsError

MAGIC = "7767517"
FLOAT16_FLAG = 0x01306B47
FLOAT32_FLAG = 0
_ARRAY_KEY = -23300
_KERNEL = 3  # the only kernels that Real-ESRGAN networks have

Value = float | tuple[float, ...]


@dataclass(frozen=True)
class Layer:
    """One line of a ``.param`` file and its weights from the ``.bin``.

    Attributes:
        kind: layer type, such as ``Convolution``.
        name: layer name.
        inputs: blob names it reads.
        outputs: blob names it writes.
        options: numbered parameters.
        weight: ``[out, in, 3, 3]`` of a Convolution, ``[channels]`` of a PReLU, else ``None``.
        bias: ``[out]`` of a Convolution, else ``None``.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: dict[int, Value] = field(default_factory=dict)
    weight: Float32 | None = None
    bias: Float32 | None = None

    def number(self, key: int, default: float = 0) -> float:
        """Return a scalar parameter.

        Raises:
            WeightsError: the parameter is an array.
        """
        value = self.options.get(key, default)
        if isinstance(value, tuple):
            raise WeightsError(f"ncnn layer {self.name}: parameter {key} is an array, not a number")
        return value

    def whole(self, key: int) -> int:
        """Return a scalar parameter that counts something.

        Raises:
            WeightsError: the parameter is an array, or no whole number.
        """
        value = self.number(key)
        if not float(value).is_integer():  # neither NaN nor infinity is
            raise WeightsError(f"ncnn layer {self.name}: parameter {key} is {value:g}, no count")
        return int(value)

    def numbers(self, key: int) -> tuple[float, ...]:
        """Return an array parameter; a missing one is empty, a scalar has one element."""
        value = self.options.get(key, ())
        return value if isinstance(value, tuple) else (value,)


def parse_param(text: str, source: str) -> list[Layer]:
    """Parse a ``.param`` text into layers without weights.

    Args:
        text: the whole file.
        source: file name for messages.

    Raises:
        WeightsError: wrong magic, a malformed line, or other counts than the header says.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    found = lines[0].strip() if lines else ""
    if found != MAGIC:
        raise WeightsError(
            f"{source} is not an ncnn text param file: first line {found[:40]!r}, expected {MAGIC}"
        )
    try:
        layer_count, blob_count = (int(word) for word in lines[1].split())
    except (IndexError, ValueError) as error:
        raise WeightsError(f"{source}: line 2 must hold the layer and blob counts") from error
    layers = [_parse_layer(line, f"{source}: {line.split()[0]} layer") for line in lines[2:]]
    blobs = sum(len(layer.outputs) for layer in layers)
    if (len(layers), blobs) != (layer_count, blob_count):
        raise WeightsError(
            f"{source} holds {len(layers)} layers and {blobs} blobs, but its header says "
            f"{layer_count} and {blob_count}: the file is damaged or cut off"
        )
    return layers


def _parse_layer(line: str, where: str) -> Layer:
    words = line.split()
    try:
        kind, name, in_count, out_count = words[0], words[1], int(words[2]), int(words[3])
        blobs = words[4 : 4 + in_count + out_count]
        pairs = (word.split("=", 1) for word in words[4 + len(blobs) :])
        options = dict(_parse_option(int(key), value) for key, value in pairs)
    except (IndexError, ValueError) as error:
        raise WeightsError(f"{where} cannot be read: {line[:80]!r} ({error})") from error
    if in_count < 0 or out_count < 0 or len(blobs) != in_count + out_count:
        raise WeightsError(
            f"{where} announces {in_count} + {out_count} blobs, but names {len(blobs)}: "
            f"{line[:80]!r}"
        )
    return Layer(kind, name, tuple(blobs[:in_count]), tuple(blobs[in_count:]), options)


def _parse_option(key: int, text: str) -> tuple[int, Value]:
    if key > _ARRAY_KEY:
        return key, float(text)
    length, *values = text.split(",")
    if len(values) != int(length):
        raise ValueError(f"array {_ARRAY_KEY - key} announces {length} values, has {len(values)}")
    return _ARRAY_KEY - key, tuple(float(value) for value in values)


def attach_weights(layers: Sequence[Layer], content: bytes, source: str) -> list[Layer]:
    """Return the layers with their weights read from the ``.bin`` content.

    Args:
        layers: as ``parse_param`` returns them.
        content: the whole ``.bin``.
        source: file name for messages.

    Raises:
        WeightsError: the content is too short or too long for the layers, or a weight is
            stored in a form other than float16 or float32.
    """
    reader = _Reader(content, source)
    complete = [_with_weights(layer, reader) for layer in layers]
    reader.require_end()
    return complete


def _with_weights(layer: Layer, reader: "_Reader") -> Layer:
    weight: Float32 | None = None
    bias: Float32 | None = None
    match layer.kind:
        case "Convolution":
            outputs, total = layer.whole(0), layer.whole(6)
            per_output = _KERNEL * _KERNEL * outputs
            if per_output <= 0 or total <= 0 or total % per_output:
                raise WeightsError(
                    f"ncnn layer {layer.name}: {total} weights do not make {outputs} "
                    f"{_KERNEL}x{_KERNEL} kernels"
                )
            weight = reader.flagged(total, layer.name)
            weight = weight.reshape(outputs, total // per_output, _KERNEL, _KERNEL)
            bias = reader.float32(outputs, f"{layer.name} bias") if layer.number(5) else None
        case "PReLU":
            slopes = layer.whole(0)
            if slopes <= 0:
                raise WeightsError(f"ncnn layer {layer.name}: {slopes} slopes; expected some")
            weight = reader.float32(slopes, layer.name)
        case _:
            return layer
    return Layer(layer.kind, layer.name, layer.inputs, layer.outputs, layer.options, weight, bias)


class _Reader:
    """A position that moves through a ``.bin`` as its parts are read."""

    def __init__(self, content: bytes, source: str) -> None:
        self._content = memoryview(content)
        self._source = source
        self._offset = 0

    def flagged(self, count: int, layer: str) -> Float32:
        """Read a flag and ``count`` weights in the form it names."""
        flag = int.from_bytes(self._take(4, f"storage flag of {layer}"), "little")
        if flag == FLOAT32_FLAG:
            return self.float32(count, layer)
        if flag != FLOAT16_FLAG:
            raise WeightsError(
                f"{self._source}: layer {layer} stores its weights in form 0x{flag:08X}; only "
                f"float16 (0x{FLOAT16_FLAG:08X}) and float32 (0) are read"
            )
        stored = self._take(2 * count, f"float16 weights of {layer}")
        self._take(-2 * count % 4, f"padding of {layer}")
        return np.frombuffer(stored, dtype="<f2").astype(np.float32)

    def float32(self, count: int, layer: str) -> Float32:
        """Read ``count`` float32 values without a flag."""
        stored = self._take(4 * count, f"float32 values of {layer}")
        return np.frombuffer(stored, dtype="<f4").astype(np.float32)

    def require_end(self) -> None:
        """Refuse content behind the last weight."""
        if (rest := len(self._content) - self._offset) > 0:
            raise WeightsError(
                f"{self._source}: {rest} bytes are left behind the last weight "
                f"({len(self._content)} in all): the .param and the .bin do not belong together"
            )

    def _take(self, size: int, what: str) -> memoryview:
        left = len(self._content) - self._offset
        if size > left:
            raise WeightsError(
                f"{self._source} ends too early: {what} needs {size} bytes at offset "
                f"{self._offset}, {left} are left"
            )
        self._offset += size
        return self._content[self._offset - size : self._offset]
