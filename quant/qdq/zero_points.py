"""Make up for zero points that the inputs of a Concat of integers have of their own.

See quant/planning/integer_concats.py for what it is and why it is exact.
"""

import numpy as np
import onnx

from calib.arrays import Int8, Int32, Int64
from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.plan import EdgeQuant, QuantPlan


def concat_of_apart(index: GraphIndex, plan: QuantPlan, tensor: str) -> onnx.NodeProto | None:
    """Return the Concat that makes ``tensor`` from inputs with zero points apart, if one does."""
    producer = index.producer(tensor)
    apart = producer is not None and producer.name in plan.zero_points_apart
    return producer if apart else None


def integers_apart(index: GraphIndex, plan: QuantPlan, tensor: str) -> bool:
    """Tell whether ``tensor`` is made of integers of zero points apart, padded before."""
    concat = concat_of_apart(index, plan, tensor)
    return concat is not None and concat.name in plan.integer_concats


def values_apart(index: GraphIndex, plan: QuantPlan, tensor: str) -> bool:
    """Tell whether ``tensor`` is made of values of zero points apart, which are rounded already."""
    concat = concat_of_apart(index, plan, tensor)
    return concat is not None and concat.name not in plan.integer_concats


def rounds(index: GraphIndex, plan: QuantPlan, edge: EdgeQuant) -> bool:
    """Tell whether an edge rounds and clips: not where a Concat joins what is rounded already."""
    return concat_of_apart(index, plan, edge.tensor) is None


def sources(index: GraphIndex, plan: QuantPlan, tensor: str) -> tuple[EdgeQuant, ...]:
    """Return the edges that hold the values of ``tensor``: a Concat's own inputs, or none."""
    concat = concat_of_apart(index, plan, tensor)
    names = [] if concat is None else [plan.edge_read_by(t, concat.name) for t in concat.input]
    return tuple(plan.edges[name] for name in names if name is not None)


def bias_shift(index: GraphIndex, plan: QuantPlan, node: onnx.NodeProto, codes: Int8) -> Int64:
    """Return int64 ``[O]``, what is added to the int32 bias of a convolution in its file.

    Args:
        index: the float graph under the plan.
        plan: the plan.
        node: the convolution.
        codes: its int8 weights ``[O, I, kH, kW]``.

    Returns:
        Zeros where it reads no integers of zero points apart.
    """
    if not integers_apart(index, plan, node.input[0]):
        return np.zeros(len(codes), np.int64)
    told = plan.edges[plan.edge_read_by(node.input[0], node.name) or ""].zero_point
    apart = [
        np.full(_channels(index, edge.tensor), edge.zero_point, np.int64)
        for edge in sources(index, plan, node.input[0])
    ]
    return shift_between(codes, told, np.concatenate(apart))


def shift_between(codes: Int8, told: int, zero_points: Int64) -> Int64:
    """Return int64 ``[O]``, by how many steps of its bias a convolution reads too little.

    Args:
        codes: its int8 weights ``[O, I, kH, kW]``.
        told: the zero point that it is told of its input.
        zero_points: those that the channels of its input have, int64 ``[I]``.
    """
    sums = codes.reshape(*codes.shape[:2], -1).sum(axis=2, dtype=np.int64)
    shift: Int64 = sums @ (told - zero_points)
    return shift


def shifted_bias(
    index: GraphIndex, plan: QuantPlan, node: onnx.NodeProto, steps: Int32, codes: Int8
) -> Int32:
    """Return the int32 bias ``[O]`` of a convolution as its file has it.

    Args:
        index: the float graph under the plan.
        plan: the plan.
        node: the convolution.
        steps: its own int32 bias.
        codes: its int8 weights ``[O, I, kH, kW]``.

    Raises:
        GraphError: the sum does not fit int32.
    """
    moved = steps + bias_shift(index, plan, node, codes)
    if np.abs(moved).max(initial=0) > np.iinfo(np.int32).max:
        raise GraphError(
            f"the bias of {node.name!r} and what it makes up for do not fit int32; leave the "
            "convolution in float"
        )
    return moved.astype(np.int32)


def _channels(index: GraphIndex, tensor: str) -> int:
    shape = index.shape(tensor)
    if shape is None:
        raise GraphError(f"the shape of {tensor!r} is not known")
    return shape[1]
