"""Errors of inner tensors, against the same sums over the whole graph's tensors at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calib.colours import RGB
from calib.errors import StaleTableError, UsageError
from calib.graph import GraphIndex
from calib.images import to_input
from calib.runtime import Session
from calib.sample import sample_patches
from deploy.metrics.counterparts import counterpart
from deploy.metrics.decibels import CEILING_DB
from deploy.metrics.layer_sqnr import LayerError, compare_layers, worst_layers
from quant.numerics.affine import dequantize
from quant.plan import QuantPlan
from tests.quant.by_model import equalized_model, prepare

Array = NDArray[np.float32]


def errors_of(
    model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    plan: QuantPlan,
    inputs: list[Array],
    on_step: Callable[[], None] = lambda: None,
) -> tuple[LayerError, ...]:
    return compare_layers(prepare(model, plan), quantized, inputs, on_step=on_step).errors


@pytest.fixture(scope="module")
def files(built: Path) -> tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan]:
    plan = "tiny-int8-ort.plan.json"
    return (
        onnx.load(built / "tiny-fp32.onnx"),
        onnx.load(built / "tiny-int8-ort.onnx"),
        QuantPlan.parse((built / plan).read_bytes(), plan),
    )


@pytest.fixture(scope="module")
def inputs() -> list[Array]:
    return [to_input(patch.load(), RGB) for patch in sample_patches("verification", 2).patches]


@pytest.fixture(scope="module")
def errors(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan], inputs: list[Array]
) -> tuple[LayerError, ...]:
    steps: list[int] = []
    found = errors_of(*files, inputs, on_step=lambda: steps.append(1))
    assert len(steps) == len(inputs)
    return found


def all_tensors(model: onnx.ModelProto, names: list[str], picture: Array) -> dict[str, Array]:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    present = {info.name for info in opened.graph.output}
    opened.graph.output.extend(
        onnx.helper.make_tensor_value_info(
            name,
            onnx.TensorProto.UINT8 if name.endswith("_quantized") else onnx.TensorProto.FLOAT,
            None,
        )
        for name in names
        if name not in present
    )
    return Session(opened, optimized=False, threads=1).run({"input": picture})


def test_every_tensor_stands_in_graph_order_with_its_node(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan], errors: tuple[LayerError, ...]
) -> None:
    nodes = [node for node in files[0].graph.node if node.op_type != "Constant"]
    assert [(e.tensor, e.node, e.operator) for e in errors] == [
        (node.output[0], node.name, node.op_type) for node in nodes
    ]


def test_figures_are_those_of_all_values_at_once(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan],
    inputs: list[Array],
    errors: tuple[LayerError, ...],
) -> None:
    model, quantized, plan = files
    edges = {edge.tensor: edge for edge in plan.edges.values()}
    index = GraphIndex(quantized)

    def name_of(tensor: str) -> str:
        candidates = (f"{tensor}_dequantized", f"{tensor}_quantized", tensor)
        return next(filter(index.has_tensor, candidates)) if tensor in edges else tensor

    names = {e.tensor: name_of(e.tensor) for e in errors}
    as_codes = [tensor for tensor, name in names.items() if name.endswith("_quantized")]
    assert len(as_codes) == 4 * 3  # the growth tensors of each dense block
    reference = equalized_model(model, plan)
    floats = [all_tensors(reference, list(names), picture) for picture in inputs]
    integers = [all_tensors(quantized, list(names.values()), picture) for picture in inputs]
    for tensor in as_codes:
        for run in integers:
            edge = edges[tensor]
            run[names[tensor]] = dequantize(run[names[tensor]], edge.scale, edge.zero_point)
    assert plan.zero_points_apart
    for node in (n for n in GraphIndex(model).nodes if n.name in plan.zero_points_apart):
        for run in integers:
            run[names[node.output[0]]] = np.concatenate([run[names[t]] for t in node.input], axis=1)
    for error in errors:
        wanted = np.concatenate([run[error.tensor].ravel() for run in floats]).astype(np.float64)
        found = np.concatenate([run[names[error.tensor]].ravel() for run in integers])
        if error.tensor == "output":
            wanted, found = np.clip(wanted, 0, 1), np.clip(found, 0, 1)
        noise = np.square(wanted - found).sum()
        expected = 10 * np.log10(np.square(wanted).sum() / noise) if noise else CEILING_DB
        assert error.sqnr_db == pytest.approx(expected, abs=0.01), error.tensor
        cosine = wanted @ found / np.linalg.norm(wanted) / np.linalg.norm(found.astype(np.float64))
        assert error.cosine == pytest.approx(cosine, abs=1e-5), error.tensor


def test_the_decision_is_the_plans(errors: tuple[LayerError, ...]) -> None:
    decisions = {error.tensor: error.decision for error in errors}
    assert "computed in float: the tail of the network" in decisions["output"]
    quantized = [d for t, d in decisions.items() if "rdb2/conv3" in t]
    assert quantized[0].startswith("uint8 scale ")
    assert "least squares" in quantized[0]


def test_the_worst_come_worst_first(errors: tuple[LayerError, ...]) -> None:
    worst = worst_layers(errors, 10)
    figures = [error.sqnr_db for error in worst]
    assert figures == sorted(figures)
    assert len(worst) == 10
    assert all(error.sqnr_db >= figures[-1] for error in errors if error not in worst)


def test_a_float_model_equals_itself(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan], inputs: list[Array]
) -> None:
    model, _, plan = files
    found = errors_of(model, equalized_model(model, plan), plan, inputs[:1])
    assert {(error.sqnr_db, error.cosine) for error in found} == {(CEILING_DB, 1.0)}


def test_values_that_are_no_numbers_are_the_worst_there_is(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan], inputs: list[Array]
) -> None:
    model, quantized, plan = files
    broken = onnx.ModelProto()
    broken.CopyFrom(quantized)
    for tensor in broken.graph.initializer:
        if tensor.name == "conv_last.bias":
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), tensor.name)
            )
    last = errors_of(model, broken, plan, inputs[:1])[-1]
    assert (last.sqnr_db, last.cosine) == (-CEILING_DB, 0.0)


def test_a_file_of_another_network_is_refused(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan], inputs: list[Array]
) -> None:
    model, quantized, plan = files
    renamed = onnx.ModelProto()
    renamed.CopyFrom(model)
    for node in renamed.graph.node:
        for names in (node.input, node.output):
            for slot, name in enumerate(names):
                if name == "/conv_hr/Conv_output_0":
                    names[slot] = "elsewhere"
    with pytest.raises(StaleTableError, match="the plan is of network"):
        errors_of(renamed, quantized, plan, inputs)


def test_comparing_on_nothing_is_an_error(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan],
) -> None:
    with pytest.raises(UsageError, match="no picture"):
        errors_of(*files, [])


def test_a_pair_that_makes_the_graphs_output_is_its_own_counterpart() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2] input) => (float[1,2] output)
        <float s = {0.1}, uint8 z = {0}> {
          made = Relu(input)
          q = QuantizeLinear(made, s, z)
          output = DequantizeLinear(q, s, z)
        }""")
    index = GraphIndex(model)
    assert counterpart(index, "output") == "output"
    assert counterpart(index, "made") == "output"
    assert counterpart(index, "input") == "input"


def test_what_the_int8_file_draws_is_what_it_draws_as_a_whole(
    files: tuple[onnx.ModelProto, onnx.ModelProto, QuantPlan], inputs: list[Array]
) -> None:
    model, quantized, plan = files
    found = compare_layers(prepare(model, plan), quantized, inputs).outputs
    whole = Session(quantized, optimized=False)
    for drawn, picture in zip(found, inputs, strict=True):
        np.testing.assert_array_equal(drawn, whole.run({"input": picture})["output"])
