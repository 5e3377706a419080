"""Name what is in somebody's graph as ours is named: its ends, every node, every constant once.

ends         ``input`` and ``output``; another tensor of that name gets ``_inner`` behind it
nodes        keep a name of their own; a node without one, or with another's, is called after
             its operator and place: ``Conv_17``
constants    one for each node that reads it (deploy/network/canonical_graph.py), under its own
             name where one node alone reads it, else after node and operand
"""

from collections import Counter
from collections.abc import Mapping

import onnx

from deploy.network.architecture import INPUT_NAME, OUTPUT_NAME
from deploy.network.canonical_graph import IR_VERSION, normal_form, operand_name


def in_our_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph in normal form, under our names for its ends and names for all nodes.

    Args:
        model: simplified and static, of one input and one output.
    """
    named = onnx.ModelProto()
    named.CopyFrom(model)
    named.ir_version = IR_VERSION
    graph = named.graph
    del graph.value_info[:]
    stored = {tensor.name for tensor in graph.initializer}
    taken = next(end for end in graph.input if end.name not in stored)
    _rename(graph, _new_names(graph, taken.name, graph.output[0].name))
    _name_nodes(graph)
    readers = Counter(name for node in graph.node for name in node.input)

    def constant_name(node: onnx.NodeProto, position: int, opset: int) -> str:
        own = node.input[position]
        return own if readers[own] == 1 else operand_name(node, position, opset)

    return normal_form(named, constant_name)


def _new_names(graph: onnx.GraphProto, taken: str, given: str) -> dict[str, str]:
    ends = {taken: INPUT_NAME, given: OUTPUT_NAME}
    known = {name for node in graph.node for name in (*node.input, *node.output)}
    inner = known - {taken, given}
    moved = {name: f"{name}_inner" for name in (INPUT_NAME, OUTPUT_NAME) if name in inner}
    return {**ends, **moved}


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for end in (*graph.input, *graph.output):
        end.name = names.get(end.name, end.name)
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def _name_nodes(graph: onnx.GraphProto) -> None:
    counted = Counter(node.name for node in graph.node)
    known = set(counted)
    for place, node in enumerate(graph.node):
        if node.name and counted[node.name] == 1:
            continue
        name = f"{node.op_type}_{place}"
        while name in known:
            name += "_"
        node.name = name
        known.add(name)
