"""Find Concats whose inputs and output share scale and zero point, to concatenate int8 tensors.

Where all inputs and the output of a Concat have one scale and zero point, quantizing its output
gives back the integers that its inputs had. The Concat can then read those and hand them on:

    t -> QuantizeLinear -> DequantizeLinear -> Concat -> QuantizeLinear -> DequantizeLinear -> Conv
    t -> QuantizeLinear -> Concat -> DequantizeLinear -> Conv

onnxruntime copies bytes in place of a QLinearConcat. OpenVINO moves a QDQ pair from behind a Concat
to each of its inputs and runs it there, so a tensor of a dense block is quantized once more for
each of its readers.
"""

from quant.plan import QuantPlan
from quant.planning.qdq_placement import Placement


def integer_concats(placement: Placement, plan: QuantPlan) -> tuple[str, ...]:
    """Return the Concats that can run on integers under a plan's edges, in graph order.

    None does where the target wants a QDQ pair around every operator, or wants it where the user
    asks for every edge to be quantized.
    """
    allowed = placement.profile.integer_concat
    if allowed == "never" or (allowed == "beside float" and placement.full_integer):
        return ()
    topology = placement.topology
    joins: list[str] = []
    for node in topology.operators:
        output = plan.edges.get(node.output[0])
        if node.op_type != "Concat" or output is None or output.tensor in topology.index.outputs:
            continue
        sources = [plan.edge_read_by(tensor, node.name) for tensor in node.input]
        if all(name and plan.edges[name].same_grid(output) for name in sources):
            joins.append(node.name)
    return tuple(joins)
