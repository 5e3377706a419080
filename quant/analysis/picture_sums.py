"""Find what a network adds to its picture: the skip of SRVGG and of other shallow networks.

    given out = moved(branch) + moved(picture)          moved: its values are at other places

An 8-bit picture holds multiples of 1/255, and so does the 8-bit picture that becomes of the output.
A branch rounded to multiples of 1/255 gives the very picture that it gives in float: rounding to
whole steps and adding whole steps change places.
"""

from calib.graph import GraphIndex
from quant.analysis.topology import Topology, keeps_values


def picture_sum(topology: Topology, tensor: str) -> tuple[str, str] | None:
    """Return the other operand and the output of the Add that makes a picture of a tensor.

    Args:
        topology: of a graph.
        tensor: read by movers alone, up to that Add.

    Returns:
        ``None`` where a tensor goes elsewhere, the other operand is not the moved picture, or the
        output is not the picture given out.
    """
    index = topology.index
    end = _moved_on(index, tensor)
    readers = index.consumers(end)
    if end in index.outputs or len(readers) != 1 or readers[0].op_type != "Add":
        return None
    total = readers[0].output[0]
    others = [name for name in readers[0].input if name != end]
    ends = {_moved_on(index, total), *(_moved_from(index, name) for name in others)}
    if len(others) != 1 or ends != {*index.inputs, *index.outputs} or ends - topology.pictures:
        return None
    return others[0], total


def _moved_on(index: GraphIndex, tensor: str) -> str:
    """Return the last tensor that movers, each the only reader, make of one."""
    while tensor not in index.outputs:
        readers = index.consumers(tensor)
        if len(readers) != 1 or not keeps_values(readers[0]):
            break
        tensor = readers[0].output[0]
    return tensor


def _moved_from(index: GraphIndex, tensor: str) -> str:
    """Return the first tensor that movers make one of."""
    node = index.producer(tensor)
    while node is not None and keeps_values(node):
        tensor = node.input[0]
        node = index.producer(tensor)
    return tensor
