"""Every operator of opset 17 means the same at a later one, is rewritten, or is refused by name."""

import numpy as np
import onnx
import pytest
from onnx import helper

from calib.errors import GraphError
from calib.runtime import Session
from quant.qdq.opset import OPSET_16_BITS, OPSET_HALF_SCALES, raise_opset

OPSET = 17
RAISED = (OPSET_HALF_SCALES, OPSET_16_BITS)
REWRITTEN = {"GridSample", "Split"}
REFUSED = {"DFT", "If", "Loop", "Scan", "OptionalGetElement", "OptionalHasElement", "QLinearMatMul"}
PAIRS = {"QuantizeLinear", "DequantizeLinear"}
"""What the raise is for: their new operands and attributes are what they are emitted with."""


def schemas(operator: str, opset: int) -> tuple[onnx.defs.OpSchema, onnx.defs.OpSchema]:
    return onnx.defs.get_schema(operator, OPSET), onnx.defs.get_schema(operator, opset)


def changed(opset: int) -> list[str]:
    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    there = [name for name in sorted(names) if onnx.defs.has(name, OPSET)]
    versions = {name: {one.since_version for one in schemas(name, opset)} for name in there}
    return [name for name in there if len(versions[name]) > 1]


def model_of(*nodes: onnx.NodeProto, inputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph(nodes, "g", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def test_opsets_change_operators() -> None:
    assert {"ScatterND", "Reshape", "GridSample", "DFT"} <= set(changed(OPSET_16_BITS))
    assert {"ScatterND", "Reshape", "ReduceMean"} <= set(changed(OPSET_HALF_SCALES))


@pytest.mark.parametrize(
    ("opset", "operator"), [(opset, name) for opset in RAISED for name in changed(opset)]
)
def test_what_is_let_through_kept_its_operands_and_attributes(opset: int, operator: str) -> None:
    old, new = schemas(operator, opset)
    node = helper.make_node(operator, [f"i{n}" for n in range(len(old.inputs))], ["y"], "n")
    model = model_of(node, inputs=[])
    if operator in REFUSED:
        with pytest.raises(
            GraphError, match=rf"needs opset {opset}, and {operator} may have changed"
        ):
            raise_opset(model, opset)
        return
    raise_opset(model, opset)
    assert model.opset_import[0].version == opset
    axes_as_operand = "axes" in old.attributes and "axes" not in new.attributes
    kept = [(operand.name, operand.option) for operand in old.inputs]
    assert [(operand.name, operand.option) for operand in new.inputs[: len(kept)]] == kept
    assert all(operand.option.name != "Single" for operand in new.inputs[len(kept) :])
    if operator in REWRITTEN | PAIRS:
        return
    defaults = {name: str(item.default_value) for name, item in new.attributes.items()}
    for name, item in old.attributes.items():
        if not (axes_as_operand and name == "axes"):
            assert defaults[name] == str(item.default_value)
    assert not any(
        item.required for name, item in new.attributes.items() if name not in old.attributes
    )


@pytest.mark.parametrize("opset", RAISED)
@pytest.mark.parametrize("mode", [None, "bilinear", "bicubic", "nearest"])
def test_a_grid_is_sampled_in_the_same_way(mode: str | None, opset: int) -> None:
    values = np.random.default_rng(0).random((1, 2, 5, 6), np.float32)
    grid = np.random.default_rng(1).uniform(-1, 1, (1, 4, 3, 2)).astype(np.float32)
    options = {} if mode is None else {"mode": mode}
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], "n", **options)
    floats = onnx.TensorProto.FLOAT
    model = model_of(
        node,
        inputs=[
            helper.make_tensor_value_info("x", floats, values.shape),
            helper.make_tensor_value_info("grid", floats, grid.shape),
        ],
    )
    before = Session(model, optimized=False).run({"x": values, "grid": grid})
    raise_opset(model, opset)
    onnx.checker.check_model(model, full_check=True)
    after = Session(model, optimized=False).run({"x": values, "grid": grid})
    np.testing.assert_array_equal(after["y"], before["y"])
