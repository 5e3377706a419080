"""Fold residual scales and residual skips into the convolutions before them.

    c * (W u + b)  =  (c W) u + c b        quant/analysis/scale_absorbers.py
    x + (W u + b)  =  (W + I) u + b        quant/analysis/residual_skips.py

The node is dropped. A convolution that takes up a scale keeps the name of its output, which now
holds the scaled values: what it held before, divided by the factor 1 / c of its channel. One that
takes up a skip writes the sum, by its name.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from calib.arrays import Float64
from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.residual_skips import ResidualSkip, residual_skips
from quant.analysis.scale_absorbers import ResidualScale, residual_scales


@dataclass(frozen=True, eq=False)
class Folded:
    """A graph with fewer residual scales and skips.

    Attributes:
        model: the graph.
        nodes: names of the multiplications and additions that are gone.
        tensors: tensor to float64 ``[C]``, what its channels were divided by; only tensors that
            changed.
    """

    model: onnx.ModelProto
    nodes: tuple[str, ...]
    tensors: Mapping[str, Float64]


def fold(model: onnx.ModelProto, nodes: Collection[str]) -> Folded:
    """Fold residual scales and skips into the convolutions before them.

    Args:
        model: the float graph; it is not changed.
        nodes: names of the multiplications and additions to fold. One may become foldable by
            another: a multiplication of a sum that a convolution takes up.

    Raises:
        GraphError: one of them is neither.
    """
    waiting = dict.fromkeys(nodes)
    folded = Folded(model, tuple(waiting), {})
    while waiting:
        index = GraphIndex(folded.model)
        scales = [scale for scale in residual_scales(index) if scale.node.name in waiting]
        skips = [skip for skip in residual_skips(index) if skip.node.name in waiting]
        if scales:
            folded = _with_scales(folded, scales)
        elif skips:
            folded = _with_skips(folded, skips)
        else:
            raise GraphError(
                f"expected node {next(iter(waiting))!r} to multiply the output of a convolution, "
                "which nothing else reads, by positive constants, or to add to it what the "
                "convolution reads"
            )
        for found in scales or skips:
            del waiting[found.node.name]
    return folded


def _with_scales(folded: Folded, scales: Sequence[ResidualScale]) -> Folded:
    """Return a graph whose convolutions have taken up scales."""
    gone = {scale.constant for scale in scales} | {scale.output for scale in scales}
    renamed = {scale.output: scale.input for scale in scales}
    factors = {
        name: scale.values for scale in scales for name in scale.convolution.input[1:] if name
    }
    model = _without(folded.model, {scale.node.name for scale in scales}, gone)
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            node.input[slot] = renamed.get(name, name)
    for tensor in model.graph.initializer:
        if tensor.name in factors:
            rows = factors[tensor.name].reshape(-1, *[1] * (len(tensor.dims) - 1))
            _store(tensor, numpy_helper.to_array(tensor) * rows)
    tensors = {scale.input: 1.0 / scale.values for scale in scales}
    return Folded(model, folded.nodes, {**folded.tensors, **tensors})


def _with_skips(folded: Folded, skips: Sequence[ResidualSkip]) -> Folded:
    """Return a graph whose convolutions have taken up skips."""
    branches = {skip.convolution.output[0]: skip.output for skip in skips}
    weights = {skip.convolution.input[1]: skip.folded_weight() for skip in skips}
    model = _without(folded.model, {skip.node.name for skip in skips}, {*branches})
    for node in model.graph.node:
        for slot, name in enumerate(node.output):
            node.output[slot] = branches.get(name, name)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            _store(tensor, weights[tensor.name])
    tensors = {name: found for name, found in folded.tensors.items() if name not in branches}
    return Folded(model, folded.nodes, tensors)


def _without(model: onnx.ModelProto, nodes: set[str], tensors: set[str]) -> onnx.ModelProto:
    """Return a copy without some nodes, and without what is said of some tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    _keep(graph.node, [node for node in graph.node if node.name not in nodes])
    _keep(graph.value_info, [info for info in graph.value_info if info.name not in tensors])
    _keep(graph.initializer, [held for held in graph.initializer if held.name not in tensors])
    return copy


def _keep(field: Any, kept: list[Any]) -> None:
    """Leave only ``kept`` of a repeated field of a protobuf message."""
    del field[:]
    field.extend(kept)


def _store(target: onnx.TensorProto, values: Float64) -> None:
    target.CopyFrom(numpy_helper.from_array(values.astype(np.float32), target.name))
