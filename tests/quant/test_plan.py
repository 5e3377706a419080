"""A plan as a value: JSON round trip, determinism, provenance."""

import json

import numpy as np
import onnx
import pytest

from calib.digest import canonical_json
from calib.errors import GraphError, StaleTableError, UsageError
from calib.runtime import Session
from quant.plan import QuantOptions, QuantPlan
from quant.targets import PROFILES
from tests.quant.by_model import make_plan


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_plan_survives_json_to_the_bit(target, residual, residual_table) -> None:
    plan = make_plan(residual, residual_table, PROFILES[target], QuantOptions())
    stored = plan.content()
    assert QuantPlan.parse(stored, "plan") == plan
    again = make_plan(residual, residual_table, PROFILES[target], QuantOptions())
    assert again.content() == stored


def test_plan_names_what_it_was_made_from(residual, residual_table) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions(percentile=99.9))
    assert plan.network_digest == residual_table.network_digest
    assert plan.table_digest == residual_table.digest
    assert plan.options.percentile == 99.9
    assert plan.options.trunk == "float"


def test_unknown_rounding_is_refused() -> None:
    with pytest.raises(UsageError, match="'stochastic'; give one of nearest, gptq"):
        QuantOptions(rounding="stochastic")


def test_table_of_another_graph_is_refused(residual, residual_table) -> None:
    other = onnx.ModelProto()
    other.CopyFrom(residual)
    other.graph.node[0].name = "renamed"
    with pytest.raises(StaleTableError, match=residual_table.network_digest):
        make_plan(other, residual_table, PROFILES["ort"], QuantOptions())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: r.update(schema=0), "plan: schema is 0, expected 14"),
        (lambda r: r.pop("edges"), "plan: edges is missing"),
        (lambda r: r["edges"]["feat"].pop("scale"), "edges.feat.scale is missing"),
        (lambda r: r.update(rounded={"images": {}}), "rounded.images.origin is missing and"),
        (
            lambda r: r.update(rounded={"images": 1, "digests": 2, "nearest": 3}),
            "rounded.images is 1",
        ),
    ],
    ids=["schema", "missing", "field", "refinement", "refinement's kind"],
)
def test_record_that_is_no_plan_is_refused(spoil, message, residual, residual_table) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    record = json.loads(plan.content())
    spoil(record)
    with pytest.raises(GraphError, match=message):
        QuantPlan.parse(canonical_json(record), "plan")


def test_two_convolutions_with_one_weight_are_refused(parsed, calibrated) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] input) => (float[1,2,4,4] output) <float[2,2,3,3] w0>
        {
          [a] s = Conv<pads=[1,1,1,1]>(input, w0)
          [b] output = Conv<pads=[1,1,1,1]>(s, w0)
        }"""
    )
    with pytest.raises(GraphError, match="share the weight 'w0'"):
        make_plan(model, calibrated(model), PROFILES["qnn"], QuantOptions())


@pytest.mark.parametrize(
    ("target", "asked", "expected"),
    [("ort", None, 16), ("openvino", None, 16), ("tensorrt", None, 32), ("ort", 32, 32)],
)
def test_cpu_targets_get_weights_that_do_not_saturate_unless_told_otherwise(
    target, asked, expected, residual, residual_table
) -> None:
    options = QuantOptions(accumulator_bits=asked)
    plan = make_plan(residual, residual_table, PROFILES[target], options)
    assert {quant.accumulator_bits for quant in plan.weights.values()} == {expected}
    assert plan.options.accumulator_bits == expected


@pytest.mark.parametrize("target", ["qnn", "tensorrt", "ort"])
@pytest.mark.parametrize("percentile", [None, 98.0], ids=["least squares", "98 percent"])
def test_each_range_states_the_percentile_that_it_amounts_to(  # noqa: PLR0917  # fixtures
    target, percentile, residual, residual_table, probes, exposed
) -> None:
    options = QuantOptions(percentile=percentile, equalization="none")
    plan = make_plan(residual, residual_table, PROFILES[target], options)
    tensors = tuple(dict.fromkeys(e.tensor for e in plan.edges.values() if e.tensor != "input"))
    session = Session(exposed(residual, tensors), optimized=False)
    runs = [{"input": picture, **session.run({"input": picture})} for picture in probes(residual)]
    assert plan.edges
    for edge in plan.edges.values():
        low, high = edge.covered
        values = np.concatenate([run[edge.tensor].ravel() for run in runs])
        inside = (values >= low - edge.scale / 2) & (values <= high + edge.scale / 2)
        assert edge.percentile == pytest.approx(100.0 * inside.mean(), abs=0.5), edge.tensor
