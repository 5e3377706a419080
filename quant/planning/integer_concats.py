"""Find Concats whose inputs and output share a scale, to concatenate int8 tensors.

Where all inputs and the output of a Concat have one scale and zero point, quantizing its output
gives back the integers that its inputs had. The Concat can then read those and hand them on:

    t -> QuantizeLinear -> DequantizeLinear -> Concat -> QuantizeLinear -> DequantizeLinear -> Conv
    t -> QuantizeLinear -> Concat -> DequantizeLinear -> Conv

onnxruntime copies bytes in place of a QLinearConcat. OpenVINO moves a QDQ pair from behind a Concat
to each of its inputs and runs it there, so a tensor of a dense block is quantized once more for
each of its readers.

Integers need one scale to be joined, not one zero point. What LeakyReLU gives lies in [-0.2, 1] of
its size, a trunk tensor in [-1, 1]: on one grid two of the codes of the first in five stand for
nothing. With zero points z_k of their own, behind a DequantizeLinear that knows the Concat's z
alone, a convolution reads s (z_k - z) too much of input k, everywhere. That is a constant, which
its bias takes up in its own steps, s times the weight's scale, so nothing is rounded:

    bias' = bias + sum over the weights of input k of  W (z - z_k)

and where the convolution pads by 0, each input is padded by its z_k before.
"""

import onnx

from quant.analysis.zero_point_shifts import can_shift_zero_points
from quant.plan import EdgeQuant, QuantPlan
from quant.planning.qdq_placement import Placement


def integer_concats(placement: Placement, plan: QuantPlan) -> tuple[str, ...]:
    """Return the Concats that can run on integers under a plan's edges, in graph order.

    None does where the target wants a QDQ pair around every operator, or wants it where the user
    asks for every edge to be quantized.
    """
    if not _allowed(placement):
        return ()
    apart = set(plan.zero_points_apart)
    joins: list[str] = []
    for node, output, sources in _joined(placement, plan):
        if node.name in apart or all(source.same_grid(output) for source in sources):
            joins.append(node.name)
    return tuple(joins)


def zero_points_apart(placement: Placement, plan: QuantPlan) -> tuple[str, ...]:
    """Return the Concats whose inputs share a scale, but not a zero point, in graph order."""
    shiftable = shiftable_concats(placement)
    return tuple(
        node.name
        for node, output, sources in _joined(placement, plan)
        if node.name in shiftable
        and all(source.same_scale(output) for source in sources)
        and not all(source.same_grid(output) for source in sources)
    )


def shiftable_concats(placement: Placement) -> frozenset[str]:
    """Return the Concats whose inputs may have zero points of their own.

    Those join integers for int8 convolutions alone, whose int32 biases make up for it.
    """
    if not _allowed(placement) or not placement.profile.zero_points_apart:
        return frozenset()
    topology = placement.topology
    return frozenset(
        node.name
        for node in topology.operators
        if can_shift_zero_points(topology.index, node)
        and placement.profile.bias == "int32"
        and all(placement.precision(n) == "int8" for n in topology.readers(node.output[0]))
    )


def _allowed(placement: Placement) -> bool:
    allowed = placement.profile.integer_concat
    return allowed == "always" or (allowed == "beside float" and not placement.full_integer)


def _joined(
    placement: Placement, plan: QuantPlan
) -> list[tuple[onnx.NodeProto, EdgeQuant, list[EdgeQuant]]]:
    """Return each Concat of edges that makes an edge, with that and those it reads."""
    found = []
    for node in placement.topology.operators:
        output = plan.edges.get(node.output[0])
        if node.op_type != "Concat" or output is None:
            continue
        if output.tensor in placement.topology.index.outputs:
            continue
        names = [plan.edge_read_by(tensor, node.name) for tensor in node.input]
        sources = [plan.edges[name] for name in names if name is not None]
        if len(sources) == len(names):
            found.append((node, output, sources))
    return found
