"""Rebuild a float ONNX file as a torch module, for toolchains that begin with torch.

Taken are the operators of Real-ESRGAN's networks (RRDBNet, SRVGGNetCompact and what they are
spelled with in ONNX); any other ends the driver with its name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional

Attributes = Mapping[str, Any]
Operator = Callable[[Attributes, list[Any]], Tensor]


def convolution(said: Attributes, given: list[Any]) -> Tensor:
    """Convolve, with zeros of equal count on opposite sides."""
    top, left, bottom, right = said.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise SystemExit(f"found Conv with pads {said['pads']}; expected opposite sides alike")
    picture, weight, *bias = given
    return functional.conv2d(
        picture,
        weight,
        bias[0] if bias else None,
        stride=tuple(said.get("strides", (1, 1))),
        padding=(top, left),
        dilation=tuple(said.get("dilations", (1, 1))),
        groups=said.get("group", 1),
    )


def nearest(said: Attributes, given: list[Any]) -> Tensor:
    """Repeat each pixel a whole number of times along both sides."""
    picture, scales = given[0], given[2] if len(given) > 2 else None
    if said.get("mode", b"nearest") != b"nearest" or not scales or any(s % 1 for s in scales):
        raise SystemExit("found a Resize that is not nearest by whole scales")
    factors = tuple(float(scale) for scale in scales[2:])
    return functional.interpolate(picture, scale_factor=factors, mode="nearest")


def shuffle(said: Attributes, given: list[Any]) -> Tensor:
    """Move channels to pixels, in torch's order of channels."""
    if said.get("mode", b"DCR") != b"CRD":
        raise SystemExit("found DepthToSpace in mode DCR; expected CRD")
    return functional.pixel_shuffle(given[0], said["blocksize"])


def unshuffle(said: Attributes, given: list[Any]) -> Tensor:
    """Move pixels to channels, in ONNX's order: the place in a block before the channel."""
    side = said["blocksize"]
    count, channels, height, width = given[0].shape
    blocks = given[0].reshape(count, channels, height // side, side, width // side, side)
    moved: Tensor = blocks.permute(0, 3, 5, 1, 2, 4)
    return moved.reshape(count, channels * side * side, height // side, width // side)


OPERATORS: dict[str, Operator] = {
    "Conv": convolution,
    "Resize": nearest,
    "DepthToSpace": shuffle,
    "SpaceToDepth": unshuffle,
    "Reshape": lambda _, given: given[0].reshape(given[1]),
    "Transpose": lambda said, given: given[0].permute(said["perm"]),
    "PRelu": lambda _, given: functional.prelu(given[0], given[1]),
    "LeakyRelu": lambda said, given: functional.leaky_relu(given[0], said.get("alpha", 0.01)),
    "Relu": lambda _, given: functional.relu(given[0]),
    "Add": lambda _, given: given[0] + given[1],
    "Mul": lambda _, given: given[0] * given[1],
    "Concat": lambda said, given: torch.cat(given, said["axis"]),
    "Identity": lambda _, given: given[0],
}


class OnnxAsTorch(torch.nn.Module):
    """A float ONNX file of one input and one output.

    Attributes:
        nodes: operator, attributes, names of inputs and name of the output, in order.
        weights: by name of a float initializer, the parameter that it became.
        settings: by name of any other, its values: shapes of Reshape, scales of Resize.
    """

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            SystemExit: it has an operator that is not known here.
        """
        super().__init__()
        graph = onnx.load(path).graph
        self.source, self.result = graph.input[0].name, graph.output[0].name
        scales = {name for node in graph.node if node.op_type == "Resize" for name in node.input}
        slopes = {node.input[1] for node in graph.node if node.op_type == "PRelu"}
        self.weights: dict[str, str] = {}
        self.settings: dict[str, Any] = {"": None}
        for number, tensor in enumerate(graph.initializer):
            value = np.array(onnx.numpy_helper.to_array(tensor))
            if tensor.name in scales or value.dtype != np.float32:
                self.settings[tensor.name] = value.tolist()
                continue
            if tensor.name in slopes:  # one a channel, as it is; whatever reshapes it hides it
                value = value.reshape(-1)
            weight = torch.nn.Parameter(torch.from_numpy(value), requires_grad=False)
            self.weights[tensor.name] = f"weight_{number}"
            self.register_parameter(self.weights[tensor.name], weight)
        self.nodes = [
            (
                node.op_type,
                {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute},
                list(node.input),
                node.output[0],
            )
            for node in graph.node
        ]
        unknown = sorted({operator for operator, *_ in self.nodes} - OPERATORS.keys())
        if unknown:
            known = ", ".join(OPERATORS)
            raise SystemExit(f"found {', '.join(unknown)}; rebuilt in torch are {known}")

    def forward(self, picture: Tensor) -> Tensor:
        """Compute the output of a picture, float32 [N, C, H, W] in [0, 1]."""
        values: dict[str, Any] = {**self.settings, self.source: picture}
        values |= {name: self.get_parameter(field) for name, field in self.weights.items()}
        for operator, said, names, output in self.nodes:
            values[output] = OPERATORS[operator](said, [values[name] for name in names])
        drawn: Tensor = values[self.result]
        return drawn
