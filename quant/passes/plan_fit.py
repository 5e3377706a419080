"""Refuse a plan whose names are not those of the graph it is used on.

A plan that the planner made fits. One that was read from a file is only known to be well formed:
every name in it is looked up here once, so that whoever follows it finds what it names.
"""

from collections.abc import Iterator

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.analysis.zero_point_shifts import can_shift_zero_points
from quant.plan import GRAPH_OUTPUT, QuantPlan


def require_fit(plan: QuantPlan, index: GraphIndex) -> None:
    """Make sure that all that a plan quantizes is in the graph.

    Args:
        plan: the plan.
        index: the graph, folded and equalized as the plan says.

    Raises:
        GraphError: something is not; the message says the place in the plan.
    """
    for misfit in _misfits(plan, index):
        raise GraphError(f"the plan does not fit the graph: {misfit}; build again")


def _misfits(plan: QuantPlan, index: GraphIndex) -> Iterator[str]:
    for name, edge in plan.edges.items():
        if not index.has_tensor(edge.tensor):
            yield f"edges has no tensor {edge.tensor!r} to quantize for {name!r}"
        if edge.after is not None and edge.after not in plan.edges:
            yield f"edges has no {edge.after!r} for {name!r} to come after"
        known = {node.name for node in index.consumers(edge.tensor)}
        known |= {GRAPH_OUTPUT} if edge.tensor in index.outputs else set()
        for reader in edge.readers:
            if reader not in known:
                yield f"{reader!r} does not read {edge.tensor!r}, as edges has it of {name!r}"
    yield from _joined_misfits(plan, index)
    for name, quant in plan.weights.items():
        weight = index.constant(name)
        node = next((node for node in index.consumers(name) if node.name == quant.node), None)
        if weight is None or node is None:
            yield f"weights has {name!r}, which is no weight of {quant.node!r}"
        elif len(quant.scales) != len(weight):
            yield f"weights has {len(quant.scales)} scales of {name!r}, expected {len(weight)}"
        elif plan.edge_read_by(node.input[0], node.name) is None:
            yield f"edges has none through which {quant.node!r} reads {node.input[0]!r}"


def _joined_misfits(plan: QuantPlan, index: GraphIndex) -> Iterator[str]:
    """Say which Concats cannot join integers of zero points apart."""
    nodes = {node.name: node for node in index.nodes}
    convolutions = {quant.node for quant in plan.weights.values() if quant.bias is not None}
    for name in plan.zero_points_apart:
        node = nodes.get(name)
        if node is None or not can_shift_zero_points(index, node):
            yield f"zero_points_apart has {name!r}, which is no Concat that biases make up for"
            continue
        edges = [plan.edges.get(plan.edge_read_by(tensor, name) or "") for tensor in node.input]
        told = plan.edges.get(node.output[0])
        if told is None or any(edge is None or not edge.same_scale(told) for edge in edges):
            yield f"zero_points_apart has {name!r}, and edges no one scale around it"
        for reader in index.consumers(node.output[0]):
            if reader.name not in convolutions:
                yield f"zero_points_apart has {name!r}, which {reader.name!r} does not make up for"
