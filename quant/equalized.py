"""A float graph and the plan of a target in, the float graph that the plan's QDQ graph rounds out.

An int8 model differs from the float file twice: its channels are rescaled, which changes nothing,
and its values are rounded. Whoever compares their inner tensors compares with this graph.
"""

import onnx

from calib.errors import StaleTableError
from calib.graph import graph_digest
from quant.passes.equalize import Equalized, rescale
from quant.plan import QuantPlan


def equalized(model: onnx.ModelProto, plan: QuantPlan) -> Equalized:
    """Return ``model`` with the plan's equalization applied, and what each channel is divided by.

    Args:
        model: the float graph that the plan was made for.
        plan: the plan.

    Raises:
        StaleTableError: the plan is of another graph.
        GraphError: its factors do not fit the graph.
    """
    found = graph_digest(model)
    if found != plan.graph_digest:
        raise StaleTableError(
            f"the plan is of graph {plan.graph_digest}, found {found}; make a plan of this graph"
        )
    return rescale(model, plan.equalization)


def equalized_model(model: onnx.ModelProto, plan: QuantPlan) -> onnx.ModelProto:
    """Return the graph of :func:`equalized`: the same names, the same output."""
    return equalized(model, plan).model
