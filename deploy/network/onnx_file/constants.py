"""Compute what no picture enters: what a simplifier leaves of that becomes constants of the graph.

Attention in windows masks pixels by their place, which an exporter writes as a chain of nodes on
integers and truth values; at one size they are constants. Where no pixel is masked it writes none,
by indices of length 0, at which onnxsim gives up.
"""

from collections.abc import Mapping, Sequence

import onnx
from onnx import numpy_helper
from onnx.utils import Extractor

from calib.arrays import AnyArray
from calib.graph import GraphIndex, rewritten
from calib.runtime import Session

_UPDATES = frozenset({"ScatterElements", "ScatterND"})
_DRAWN_BY_LOT = frozenset({"Bernoulli", "Multinomial"})


def with_constants_computed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph without nodes that the input does not reach.

    Args:
        model: of static shapes, simplified; it is not changed.

    Returns:
        The model itself, where there is no such node.

    Raises:
        GraphError: onnxruntime cannot compute one.
    """
    index = GraphIndex(_without_idle_updates(model))
    reached = set(index.inputs)
    for node in index.nodes:
        if _is_random(node) or not reached.isdisjoint(node.input):
            reached.update(node.output)
    nodes = [n for n in index.nodes if n.op_type == "Constant" or not reached.isdisjoint(n.output)]
    if len(nodes) == len(model.graph.node):
        return model
    read = {name for node in nodes for name in node.input} | set(index.outputs)
    left = {name for node in nodes for name in node.output}
    computed = sorted(name for name in read - left if index.producer(name) is not None)
    found = _values(index.model, computed) if computed else {}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read]
    constants += [numpy_helper.from_array(value, name) for name, value in found.items()]
    kept = [node for node in nodes if node.op_type != "Constant" or node.output[0] in read]
    return rewritten(model, kept, constants)


def _values(model: onnx.ModelProto, tensors: Sequence[str]) -> Mapping[str, AnyArray]:
    """Return the values of tensors that depend on no input."""
    extractor = Extractor(onnx.shape_inference.infer_shapes(model))
    return Session(extractor.extract_model([], list(tensors)), optimized=False).run({})


def _without_idle_updates(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with updates of no values as what they are: the tensor they leave alone."""
    index = GraphIndex(model)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        if node.op_type in _UPDATES and 0 in (index.shape(node.input[2]) or ()):
            node.op_type = "Identity"
            del node.input[1:]
            del node.attribute[:]
    return changed


def _is_random(node: onnx.NodeProto) -> bool:
    return node.op_type.startswith("Random") or node.op_type in _DRAWN_BY_LOT
