"""Convert a float ONNX graph to ncnn layers: the mirror of deploy/ncnn/read.py.

| ONNX                                  | ncnn                                                 |
|---------------------------------------|------------------------------------------------------|
| Conv 3x3, LeakyRelu or Relu behind it | Convolution with it inside (``9=2``, ``9=1``)        |
| LeakyRelu, Relu elsewhere             | ReLU with a slope, 0 for Relu                        |
| PRelu                                 | PReLU                                                |
| Concat on axis 1                      | Concat                                               |
| Add                                   | BinaryOp add                                         |
| Mul by a constant number              | BinaryOp multiply with a scalar                      |
| Resize, nearest, whole factors        | Interp                                               |
| DepthToSpace CRD                      | PixelShuffle                                         |
| Reshape, Transpose, Reshape           | Reorg, if the three unshuffle pixels                 |

A blob that several layers read goes through a Split, as ncnn demands. ncnn knows no batch: every
tensor is ``[C, H, W]``.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NoReturn

import numpy as np
import onnx

from calib.arrays import Float32
from calib.errors import GraphError
from calib.graph import GraphIndex, attribute_of
from deploy.ncnn.read import Layer, Value
from quant.analysis.concats import joins_channels

_RELU_ACTIVATION, _LEAKY_ACTIVATION = 1, 2
_BINARY_ADD, _BINARY_MULTIPLY = 0, 2
_NEAREST = 1
_UNSHUFFLE = [0, 1, 3, 5, 2, 4]


def ncnn_layers(model: onnx.ModelProto) -> list[Layer]:
    """Return the layers of a float graph, in running order, Splits included.

    Args:
        model: a generator with one input ``[1, C, H, W]`` and one output.

    Raises:
        GraphError: a node has no counterpart in ncnn.
    """
    return _with_splits(_Translation(GraphIndex(model)).layers())


def layer_name(node: onnx.NodeProto) -> str:
    """Return a node's name in ncnn's files, where a blank separates words.

    >>> layer_name(onnx.NodeProto(name="/body/body.0/rdb1/conv1/Conv", op_type="Conv"))
    'body.0.rdb1.conv1'
    """
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1 and parts[-1] == node.op_type and node.op_type in {"Conv", "PRelu"}:
        parts.pop()  # their scope is the layer's own name
    kept = [
        part
        for part, behind in zip(parts, [*parts[1:], ""], strict=True)
        if not _says(behind, part)
    ]
    return re.sub(r"[^A-Za-z0-9.]+", "_", ".".join(kept))


def _says(longer: str, shorter: str) -> bool:
    """Tell whether a scope repeats the one above it, as ``body/body.0`` does."""
    return longer.startswith(f"{shorter}.")


class _Translation:
    def __init__(self, index: GraphIndex) -> None:
        self._index = index
        self._done: set[str] = set()
        self._blob: dict[str, str] = {}
        self._names: Counter[str] = Counter()

    def layers(self) -> list[Layer]:
        if len(self._index.inputs) != 1 or len(self._index.outputs) != 1:
            raise GraphError("an ncnn pair is written of graphs with one input and one output")
        source = self._index.inputs[0]
        shape = self._index.shape(source)
        if shape is None or len(shape) != 4:
            raise GraphError(f"the input {source!r} has shape {shape}; expected [1, C, H, W]")
        self._blob[source] = source
        options: dict[int, Value] = {0: shape[3], 1: shape[2], 2: shape[1]}
        first = Layer("Input", source, (), (source,), options)
        return [first, *self._behind_input()]

    def _behind_input(self) -> Iterator[Layer]:
        for node in self._index.nodes:
            if node.op_type != "Constant" and node.name not in self._done:
                yield self._layer(node)

    def _layer(self, node: onnx.NodeProto) -> Layer:
        translations = {
            "Conv": self._convolution,
            "LeakyRelu": self._leaky,
            "Relu": self._relu,
            "PRelu": self._prelu,
            "Concat": self._concat,
            "Add": self._sum,
            "Mul": self._product,
            "Resize": self._enlargement,
            "DepthToSpace": self._shuffle,
            "Reshape": self._unshuffle,
        }
        if node.op_type not in translations:
            _refuse(node, "its operator has no counterpart here")
        return translations[node.op_type](node)

    def _leaky(self, node: onnx.NodeProto) -> Layer:
        return self._made(node, "ReLU", node.input, {0: float(attribute_of(node, "alpha", 0.01))})

    def _relu(self, node: onnx.NodeProto) -> Layer:
        return self._made(node, "ReLU", node.input, {0: 0.0})

    def _prelu(self, node: onnx.NodeProto) -> Layer:
        slopes = self._constant(node, 1).reshape(-1)
        return self._made(node, "PReLU", node.input[:1], {0: slopes.size}, weight=slopes)

    def _concat(self, node: onnx.NodeProto) -> Layer:
        if not joins_channels(self._index, node):
            _refuse(node, "expected it to join channels, axis 1")
        return self._made(node, "Concat", node.input, {0: 0})

    def _sum(self, node: onnx.NodeProto) -> Layer:
        return self._made(node, "BinaryOp", node.input, {0: _BINARY_ADD})

    def _enlargement(self, node: onnx.NodeProto) -> Layer:
        factor = float(self._factor(node))
        return self._made(node, "Interp", node.input[:1], {0: _NEAREST, 1: factor, 2: factor})

    def _shuffle(self, node: onnx.NodeProto) -> Layer:
        if attribute_of(node, "mode", b"DCR") != b"CRD":
            _refuse(node, "expected the order CRD, that of PixelShuffle")
        return self._made(
            node, "PixelShuffle", node.input, {0: int(attribute_of(node, "blocksize", 0))}
        )

    def _convolution(self, node: onnx.NodeProto) -> Layer:
        weight, bias = self._constant(node, 1), self._constant(node, 2)
        expected = {"pads": [1] * 4, "strides": [1, 1], "dilations": [1, 1], "group": 1}
        found = {name: attribute_of(node, name, value) for name, value in expected.items()}
        if weight.ndim != 4 or weight.shape[2:] != (3, 3) or found != expected:
            _refuse(node, f"weight {list(weight.shape)}, {found}; expected 3x3 and {expected}")
        options: dict[int, Value] = {0: len(bias), 1: 3, 4: 1, 5: 1, 6: weight.size}
        output = node.output[0]
        readers = self._index.consumers(output)
        if len(readers) == 1 and readers[0].op_type in {"LeakyRelu", "Relu"}:
            if readers[0].op_type == "Relu":
                options[9] = _RELU_ACTIVATION
            else:
                slope = float(attribute_of(readers[0], "alpha", 0.01))
                options |= {9: _LEAKY_ACTIVATION, 10: (slope,)}
            self._done.add(readers[0].name)
            output = readers[0].output[0]
        return self._made(node, "Convolution", node.input[:1], options, output, weight, bias)

    def _product(self, node: onnx.NodeProto) -> Layer:
        constants = [self._index.constant(name) for name in node.input]
        numbers = [value for value in constants if value is not None and value.size == 1]
        if len(numbers) != 1:
            _refuse(node, "expected one factor to be a constant number")
        (data,) = [name for name, value in zip(node.input, constants, strict=True) if value is None]
        factor = float(numbers[0].reshape(()))
        return self._made(node, "BinaryOp", [data], {0: _BINARY_MULTIPLY, 1: 1, 2: factor})

    def _factor(self, node: onnx.NodeProto) -> int:
        scales = self._index.constant(node.input[2]) if len(node.input) > 2 else None
        if scales is None or scales.shape != (4,) or attribute_of(node, "mode", b"") != b"nearest":
            _refuse(node, "expected nearest-neighbour enlargement by constant scales")
        factor = int(scales[2])
        if scales.tolist() != [1, 1, factor, factor]:
            _refuse(
                node, f"enlarges by {scales.tolist()}; expected a whole factor, alike both ways"
            )
        return factor

    def _unshuffle(self, node: onnx.NodeProto) -> Layer:
        """Translate what torch exports for pixel_unshuffle."""
        middle = self._only_reader(node, "Transpose")
        last = self._only_reader(middle, "Reshape")
        inner = self._index.constant(node.input[1])
        if inner is None or len(inner) != 6 or attribute_of(middle, "perm", []) != _UNSHUFFLE:
            _refuse(node, "expected the reshape and transpose of a pixel unshuffle")
        self._done |= {middle.name, last.name}
        options: dict[int, Value] = {0: int(inner[3]), 1: 0}
        return self._made(node, "Reorg", node.input[:1], options, last.output[0])

    def _only_reader(self, node: onnx.NodeProto, op_type: str) -> onnx.NodeProto:
        readers = self._index.consumers(node.output[0])
        if len(readers) != 1 or readers[0].op_type != op_type:
            _refuse(node, f"expected one {op_type} behind it")
        return readers[0]

    def _constant(self, node: onnx.NodeProto, slot: int) -> Float32:
        value = self._index.constant(node.input[slot]) if len(node.input) > slot else None
        if value is None or value.dtype != np.float32:
            _refuse(node, f"expected input {slot} to be a float32 constant")
        return value

    def _made(  # noqa: PLR0913, PLR0917  # the columns of one line of the file
        self,
        node: onnx.NodeProto,
        kind: str,
        inputs: Iterable[str],
        options: dict[int, Value],
        output: str | None = None,
        weight: Float32 | None = None,
        bias: Float32 | None = None,
    ) -> Layer:
        name = layer_name(node)
        self._names[name] += 1
        if self._names[name] > 1:
            name += f"_{self._names[name]}"
        made = output or node.output[0]
        blob = made if made in self._index.outputs else name
        self._blob[made] = blob
        reads = tuple(self._blob[tensor] for tensor in inputs)
        return Layer(kind, name, reads, (blob,), options, weight, bias)


def _with_splits(layers: list[Layer]) -> list[Layer]:
    readers = Counter(blob for layer in layers for blob in layer.inputs)
    copies = {
        blob: iter([f"{blob}.{number}" for number in range(count)])
        for blob, count in readers.items()
        if count > 1
    }
    split: list[Layer] = []
    for layer in layers:
        reads = tuple(next(copies[blob]) if blob in copies else blob for blob in layer.inputs)
        split.append(
            Layer(
                layer.kind,
                layer.name,
                reads,
                layer.outputs,
                layer.options,
                layer.weight,
                layer.bias,
            )
        )
        for blob in layer.outputs:
            if readers[blob] > 1:
                parts = tuple(f"{blob}.{number}" for number in range(readers[blob]))
                split.append(Layer("Split", f"{blob}.split", (blob,), parts))
    return split


def _refuse(node: onnx.NodeProto, reason: str) -> NoReturn:
    raise GraphError(f"node {node.name!r} ({node.op_type}) cannot be written for ncnn: {reason}")
