"""A float graph and the plan of a target in, the float graph that the plan's QDQ graph rounds out.

An int8 model differs from the float file in three ways: convolutions have taken residual scales up
and channels are rescaled, neither of which changes the picture, and values are rounded. Whoever
compares their inner tensors compares with this graph.
"""

import onnx

from calib.errors import StaleTableError
from calib.graph import graph_digest
from quant.passes.driver import Pass
from quant.passes.equalize import Equalized, rescale
from quant.passes.fold import fold
from quant.plan import QuantPlan


def equalized(model: onnx.ModelProto, plan: QuantPlan) -> Equalized:
    """Return ``model`` folded and equalized as planned, and what each channel is divided by.

    Args:
        model: the float graph that the plan was made for.
        plan: the plan.

    Raises:
        StaleTableError: the plan is of another graph.
        GraphError: what it folds, or its factors, do not fit the graph.
    """
    found = graph_digest(model)
    if found != plan.graph_digest:
        raise StaleTableError(
            f"the plan is of graph {plan.graph_digest}, found {found}; make a plan of this graph"
        )
    folded = fold(model, plan.folded)
    return rescale(folded.model, plan.equalization).behind(folded)


def equalized_model(model: onnx.ModelProto, plan: QuantPlan) -> onnx.ModelProto:
    """Return the graph of :func:`equalized`: no name but the float graph's, the same output."""
    return equalized(model, plan).model


def passes(plan: QuantPlan) -> dict[str, Pass]:
    """Return what :func:`equalized` does to a graph, step by step, for the driver to prove."""
    steps: dict[str, Pass] = {}
    if plan.folded:
        steps["fold"] = lambda model: fold(model, plan.folded).model
    if plan.equalization:
        steps["equalize"] = lambda model: rescale(model, plan.equalization).model
    return steps
