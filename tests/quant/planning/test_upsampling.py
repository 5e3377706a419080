"""Upsampling in float becomes a transposed convolution where asked for, and nowhere else."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from calib.runtime import Session
from quant.numerics.psnr import psnr_of
from quant.passes.driver import prove_rewrites
from quant.passes.equivalence import Probe
from quant.passes.prepared import prepare
from quant.plan import QuantOptions, QuantPlan
from quant.planner import plan_graph
from quant.qdq.emit import emit_qdq
from quant.targets import PROFILES, find_profile


def counted(model: onnx.ModelProto) -> dict[str, int]:
    operators = [node.op_type for node in model.graph.node]
    return {name: operators.count(name) for name in ("Resize", "ConvTranspose")}


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize("upsampling", [None, "resize", "convtranspose"])
def test_it_follows_option_target_and_precision(
    target, upsampling, residual, residual_table
) -> None:
    profile = find_profile(target)
    options = QuantOptions(upsampling=upsampling)
    prepared = plan_graph(GraphIndex(residual), residual_table, profile, options)
    chosen = upsampling or profile.upsampling
    moved = chosen == "convtranspose" and profile.tail == "float"
    assert prepared.plan.options.upsampling == chosen
    assert prepared.plan.transposed == (("up",) if moved else ())
    assert counted(emit_qdq(prepared)) == {"Resize": not moved, "ConvTranspose": moved}
    assert [*prepared.rewrites][-1:] == (["transpose upsampling"] if moved else ["equalize"])
    prove_rewrites(residual, prepared.rewrites, [Probe(np.full((1, 3, 8, 8), 0.3, np.float32))])


@pytest.mark.parametrize("options", [{"tail": "int8"}, {"full_integer": True}], ids=str)
def test_what_is_quantized_stays_as_it_is(options, residual, residual_table) -> None:
    asked = QuantOptions(upsampling="convtranspose", **options)
    prepared = plan_graph(GraphIndex(residual), residual_table, PROFILES["openvino"], asked)
    assert prepared.plan.transposed == ()


def test_the_int8_file_draws_the_same_picture(residual, residual_table, probes) -> None:
    drawn = []
    (picture,) = probes(residual, 1)
    for upsampling in ("resize", "convtranspose"):
        options = QuantOptions(upsampling=upsampling)
        prepared = plan_graph(
            GraphIndex(residual), residual_table, PROFILES["tensorrt-10"], options
        )
        session = Session(emit_qdq(prepared), optimized=False)
        drawn.append(session.run({"input": picture})["output"])
    assert psnr_of(float(np.square(drawn[0] - drawn[1], dtype=np.float64).mean())) > 120.0


def test_a_plan_that_names_no_enlargement_is_refused(residual, residual_table) -> None:
    graph = GraphIndex(residual)
    plan = plan_graph(graph, residual_table, PROFILES["openvino"], QuantOptions()).plan
    assert QuantPlan.parse(plan.content(), "plan") == plan
    with pytest.raises(GraphError, match="expected node 'sum' to repeat the pixels"):
        prepare(graph, replace(plan, transposed=("sum",)))
    with pytest.raises(GraphError, match="rewrites the graph as this one does"):
        prepare(graph, plan).under(replace(plan, transposed=()))


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="found upsampling 'cubic'; give one of resize, convtr"):
        QuantOptions(upsampling="cubic")
