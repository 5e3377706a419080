"""Carry an order of channels through operators that move values: in which one they hand it on.

An order is an axis and a permutation p of its places: y = take(x, p, axis). A side of n places that
is joined with the m values behind it becomes one of n * m, in which blocks of m are ordered:

    p'(k * m + j) = p(k) * m + j        0 <= j < m

DepthToSpace with blocks of b joins b^2 places with each channel, in front of it (DCR) or behind it
(CRD); SpaceToDepth in front.
"""

import math

import onnx

from calib.graph import attribute_of

Order = tuple[int, ...]
Carried = tuple[int, Order]
"""An axis and the order of its places."""

Shape = tuple[int, ...]


def behind(node: onnx.NodeProto, taken: Shape, given: Shape, carried: Carried) -> Carried | None:
    """Return in which order a node hands on what it takes in one; ``None``: in none.

    Args:
        node: Reshape, Transpose, DepthToSpace or SpaceToDepth.
        taken: shape of what it takes.
        given: shape of what it gives.
        carried: the order of what it takes.
    """
    axis, order = carried
    if node.op_type == "Transpose":
        return list(attribute_of(node, "perm", [])).index(axis), order
    if node.op_type == "Reshape":
        return _reshaped(taken, given, carried)
    places = attribute_of(node, "blocksize", 1) ** 2
    if node.op_type == "SpaceToDepth":
        return axis, _in_front(order, places)
    inner = _without_places(order, places, behind=_behind(node))
    return None if inner is None else (axis, inner)


def before(node: onnx.NodeProto, taken: Shape, given: Shape, carried: Carried) -> Carried | None:
    """Return in which order a node has to take what it is to give in one; ``None``: in none."""
    axis, order = carried
    if node.op_type == "Transpose":
        return list(attribute_of(node, "perm", []))[axis], order
    if node.op_type == "Reshape":
        return _reshaped(given, taken, carried)
    places = attribute_of(node, "blocksize", 1) ** 2
    if node.op_type == "DepthToSpace":
        return axis, _joined(order, places) if _behind(node) else _in_front(order, places)
    inner = _without_places(order, places, behind=False)
    return None if inner is None else (axis, inner)


def reordered_axis(wrapper: onnx.NodeProto, axis: int) -> bool:
    """Tell whether the parameters of a quantizing node are of an axis, one for each place."""
    return wrapper.op_type != "Cast" and attribute_of(wrapper, "axis", 1) == axis


def _behind(node: onnx.NodeProto) -> bool:
    return bool(attribute_of(node, "mode", b"DCR") == b"CRD")


def _reshaped(old: Shape, new: Shape, carried: Carried) -> Carried | None:
    """Return the order of a reshaped tensor, where one of its sides has one.

    A side of n places with a values in front and b behind is found in one of L with A in front and
    C behind: joined with others, L = a/A * n * b/C; or split into several, n = A/a * L * C/b.
    """
    axis, order = carried
    ahead, after = math.prod(old[:axis]), math.prod(old[axis + 1 :])
    for place, length in enumerate(new):
        before_it, behind_it = math.prod(new[:place]), math.prod(new[place + 1 :])
        front, behind = ahead // before_it, after // behind_it
        if (front * before_it, behind * behind_it) == (ahead, after):
            return place, _in_front(_joined(order, behind), front)
        front, behind = before_it // ahead, behind_it // after
        if length > 1 and (front * ahead, behind * after) == (before_it, behind_it):
            joined = _without_places(order, front, behind=False)
            inner = None if joined is None else _without_places(joined, behind, behind=True)
            if inner is not None:
                return place, inner
    return None


def _joined(order: Order, behind: int) -> Order:
    """Return the order of places that are each joined with so many values behind them.

    >>> _joined((1, 0), 2)
    (2, 3, 0, 1)
    """
    return tuple(place * behind + inner for place in order for inner in range(behind))


def _in_front(order: Order, places: int) -> Order:
    """Return the order of places that are repeated so many times.

    >>> _in_front((1, 0), 2)
    (1, 0, 3, 2)
    """
    return tuple(outer * len(order) + place for outer in range(places) for place in order)


def _without_places(order: Order, places: int, *, behind: bool) -> Order | None:
    """Return the order of which one is made by joining or repeating; ``None`` where none is.

    >>> _without_places((2, 3, 0, 1), 2, behind=True)
    (1, 0)
    >>> _without_places((3, 2, 1, 0), 2, behind=True) is None
    True
    """
    count = len(order) // places
    inner = tuple(place // places for place in order[::places]) if behind else order[:count]
    made = _joined(inner, places) if behind else _in_front(inner, places)
    return inner if made == order else None
