"""Planned edges in, the Concats that can join codes instead of values out.

Where all inputs and the output of a Concat have one scale and zero point, quantizing its output
gives back the codes that its inputs had. The Concat can then read those codes and hand them on:

    t -> QuantizeLinear -> DequantizeLinear -> Concat -> QuantizeLinear -> DequantizeLinear -> Conv
    t -> QuantizeLinear -> Concat -> DequantizeLinear -> Conv

onnxruntime copies bytes in place of a QLinearConcat. OpenVINO moves a pair from behind a Concat to
each of its inputs and runs it there, so a tensor of a dense block is quantized once more for each
of its readers.
"""

from collections.abc import Mapping

from quant.placement import Placement
from quant.plan import EdgeQuant


def code_joins(placement: Placement, edges: Mapping[str, EdgeQuant]) -> tuple[str, ...]:
    """Return the names of the Concats that join codes, in graph order.

    None does where the target wants a pair around every operator, or the user wants every edge
    quantized: such a file goes to compilers that know operators by the pairs around them.
    """
    if placement.full_integer or not placement.profile.concat_of_codes:
        return ()
    topology = placement.topology
    read_through = {(e.tensor, reader): e for e in edges.values() for reader in e.readers}
    joins: list[str] = []
    for node in topology.operators:
        output = node.output[0]
        if node.op_type != "Concat" or output not in edges or output in topology.index.outputs:
            continue
        sources = [read_through.get((tensor, node.name)) for tensor in node.input]
        if all(edge and edge.same_grid(edges[output]) for edge in sources):
            joins.append(node.name)
    return tuple(joins)
