"""Put other nodes in the place of some of a graph's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import numpy_helper

from calib.arrays import AnyArray
from calib.graph import GraphIndex, rewritten


@dataclass(frozen=True, eq=False)
class Replacement:
    """Nodes that take the place of others.

    Attributes:
        gone: the nodes that are replaced; nothing else reads what they hand to each other.
        nodes: what stands there instead, in topological order. They make every tensor of the ones
            that are gone that anything else reads, under its name.
        constants: what the new nodes read besides, by a name that the graph has not.
    """

    gone: Sequence[onnx.NodeProto]
    nodes: Sequence[onnx.NodeProto]
    constants: Mapping[str, AnyArray] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftAlone:
    """A node that stays as it is.

    Attributes:
        node: its name.
        reason: why.
    """

    node: str
    reason: str


def replaced(index: GraphIndex, replacements: Sequence[Replacement]) -> onnx.ModelProto:
    """Return the graph with all replacements made, shapes stated; the graph itself stays.

    Args:
        index: the graph.
        replacements: none touches a node of another.
    """
    gone = {id(node) for item in replacements for node in item.gone}
    last = {id(item.gone[-1]): item for item in replacements}
    nodes: list[onnx.NodeProto] = []
    for node in index.nodes:
        if id(node) in last:
            nodes += last[id(node)].nodes
        elif id(node) not in gone:
            nodes.append(node)
    read = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in index.model.graph.initializer if tensor.name in read]
    for item in replacements:
        constants += [numpy_helper.from_array(value, key) for key, value in item.constants.items()]
    made = rewritten(index.model, nodes, constants)
    return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
