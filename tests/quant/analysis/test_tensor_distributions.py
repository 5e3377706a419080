"""What has to be observed, and that the rest follows exactly from it."""

import numpy as np
import onnx
import pytest

from calib.errors import CalibrationError, GraphError
from calib.graph import GraphIndex
from calib.runtime import Session
from quant.analysis.tensor_distributions import (
    ObservationRules,
    TensorDistributions,
    observed_tensors,
)
from quant.analysis.topology import Topology


def ranges_of(model, table) -> TensorDistributions:
    derivation = ObservationRules(Topology(GraphIndex(model)))
    return TensorDistributions(derivation, table.tensors)


def test_only_roots_are_observed(residual, compact) -> None:
    assert observed_tensors(residual) == (
        "input",
        "feat",
        "x1",
        "branch",
        "trunk",
        "up_out",
        "output",
    )
    assert observed_tensors(compact) == ("input", "c0", "p0", "c1", "p1", "c2", "output")


@pytest.mark.parametrize("name", ["residual", "compact"])
def test_every_derived_distribution_is_that_of_the_tensor(name, request, probes, exposed) -> None:
    model, table = request.getfixturevalue(name), request.getfixturevalue(f"{name}_table")
    distributions, index = ranges_of(model, table), GraphIndex(model)
    tensors = tuple(out for node in index.nodes for out in node.output)
    session = Session(exposed(model, tensors), optimized=False, threads=1)
    runs = [session.run({"input": picture}) for picture in probes(model)]
    for tensor in tensors:
        values = np.concatenate([run[tensor].ravel() for run in runs])
        found = distributions.distribution(tensor)
        assert found.minimum == pytest.approx(float(values.min()), rel=1e-5), tensor
        assert found.maximum == pytest.approx(float(values.max()), rel=1e-5), tensor
        width = float(np.ptp(values))
        for percentile in (90.0, 99.0):
            low, high = found.percentile_range(percentile)
            expected = np.percentile(values, [100 - percentile, percentile])
            assert (low, high) == pytest.approx(tuple(expected), abs=0.03 * width), tensor


def test_table_without_a_needed_tensor_is_refused(residual, residual_table) -> None:
    derivation = ObservationRules(Topology(GraphIndex(residual)))
    with pytest.raises(CalibrationError, match="no statistics of 'x1'"):
        TensorDistributions(derivation, {}).distribution("pre1")
    assert ranges_of(residual, residual_table).distribution("pre1").minimum < 0


@pytest.mark.parametrize(
    ("body", "observed"),
    [
        ("[m] y = Mul(x, c)", ("x",)),
        ("[m] y = Mul(x, negative)", ("x", "y")),
        ("[m] y = Mul(x, each)", ("x", "y")),
        ("[m] y = Add(x, c)", ("x", "y")),
        ("[m] y = LeakyRelu<alpha=0.1>(x)", ("y",)),
        ("[m] y = LeakyRelu<alpha=0.0>(x)", ("x", "y")),
        ("[m] y = Transpose<perm=[0,1,3,2]>(x)", ("x",)),
        ("[m] y = Sigmoid(x)", ("x", "y")),
    ],
    ids=["scalar", "negative", "per-channel", "add", "leaky", "flat", "transpose", "sigmoid"],
)
def test_what_follows_from_what(body: str, observed: tuple[str, ...]) -> None:
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,4,4] x) => (float[1,2,4,4] y)
        <float c = {{0.5}}, float negative = {{-0.5}}, float[2,1,1] each = {{0.5, 2.0}}>
        {{ {body} }}"""
    )
    assert observed_tensors(model) == observed


def test_nodes_need_names() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1] x) => (float[1] y) { y = Relu(x) }"""
    )
    with pytest.raises(GraphError, match="unnamed node"):
        observed_tensors(model)
