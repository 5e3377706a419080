"""Fold residual scales into their convolutions.

    c * (W x + b)  =  (c W) x + c b

The multiplication is dropped; the convolution keeps the name of its output, which now holds the
scaled values: what it held before, divided by the factor 1 / c of its channel.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from calib.arrays import Float64
from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.scale_absorbers import residual_scales


@dataclass(frozen=True, eq=False)
class Folded:
    """A graph with fewer residual scales.

    Attributes:
        model: the graph.
        nodes: names of the multiplications that are gone.
        tensors: tensor to float64 ``[C]``, what its channels were divided by; only tensors that
            changed.
    """

    model: onnx.ModelProto
    nodes: tuple[str, ...]
    tensors: Mapping[str, Float64]


def fold(model: onnx.ModelProto, nodes: Collection[str]) -> Folded:
    """Fold residual scales into the convolutions before them.

    Args:
        model: the float graph; it is not changed.
        nodes: names of the multiplications to fold.

    Raises:
        GraphError: one of them is no residual scale (quant/analysis/scale_absorbers.py).
    """
    index = GraphIndex(model)
    scales = {scale.node.name: scale for scale in residual_scales(index)}
    for name in nodes:
        if name not in scales:
            raise GraphError(
                f"expected node {name!r} to multiply the output of a convolution, which nothing "
                "else reads, by positive constants"
            )
    chosen = [scales[name] for name in nodes]
    gone = {scale.constant for scale in chosen} | {scale.output for scale in chosen}
    renamed = {scale.output: scale.input for scale in chosen}
    factors = {
        name: scale.values for scale in chosen for name in scale.convolution.input[1:] if name
    }
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    graph = folded.graph
    _keep(graph.node, [node for node in graph.node if renamed.keys().isdisjoint(node.output)])
    _keep(graph.value_info, [info for info in graph.value_info if info.name not in gone])
    _keep(graph.initializer, [tensor for tensor in graph.initializer if tensor.name not in gone])
    for node in graph.node:
        for slot, name in enumerate(node.input):
            node.input[slot] = renamed.get(name, name)
    for tensor in graph.initializer:
        if tensor.name in factors:
            rows = factors[tensor.name].reshape(-1, *[1] * (len(tensor.dims) - 1))
            values = numpy_helper.to_array(tensor) * rows
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    tensors = {scale.input: 1.0 / scale.values for scale in chosen}
    return Folded(folded, tuple(nodes), tensors)


def _keep(field: Any, kept: list[Any]) -> None:
    """Leave only ``kept`` of a repeated field of a protobuf message."""
    del field[:]
    field.extend(kept)
