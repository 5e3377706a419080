"""Every operator of opset 17 means the same at opset 21, is rewritten, or is refused by name."""

import numpy as np
import onnx
import pytest
from onnx import helper

from calib.errors import GraphError
from calib.runtime import Session
from quant.qdq.opset import OPSET_16_BITS, raise_opset

OPSET = 17
REWRITTEN = {"GridSample", "Split"}
REFUSED = {"DFT", "If", "Loop", "Scan", "OptionalGetElement", "OptionalHasElement", "QLinearMatMul"}
PAIRS = {"QuantizeLinear", "DequantizeLinear"}
"""What the raise is for: their new operands and attributes are what they are emitted with."""


def schemas(operator: str) -> tuple[onnx.defs.OpSchema, onnx.defs.OpSchema]:
    return onnx.defs.get_schema(operator, OPSET), onnx.defs.get_schema(operator, OPSET_16_BITS)


def changed() -> list[str]:
    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    there = [name for name in sorted(names) if onnx.defs.has(name, OPSET)]
    versions = {name: {one.since_version for one in schemas(name)} for name in there}
    return [name for name in there if len(versions[name]) > 1]


def model_of(*nodes: onnx.NodeProto, inputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph(nodes, "g", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def test_opsets_change_operators() -> None:
    assert {"ScatterND", "Reshape", "GridSample", "DFT"} <= set(changed())


@pytest.mark.parametrize("operator", changed())
def test_what_is_let_through_kept_its_operands_and_attributes(operator: str) -> None:
    old, new = schemas(operator)
    node = helper.make_node(operator, [f"i{n}" for n in range(len(old.inputs))], ["y"], "n")
    model = model_of(node, inputs=[])
    if operator in REFUSED:
        with pytest.raises(GraphError, match=rf"needs opset 21, and {operator} may have changed"):
            raise_opset(model)
        return
    raise_opset(model)
    assert model.opset_import[0].version == OPSET_16_BITS
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


@pytest.mark.parametrize("mode", [None, "bilinear", "bicubic", "nearest"])
def test_a_grid_is_sampled_in_the_same_way(mode: str | None) -> None:
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
    raise_opset(model)
    onnx.checker.check_model(model, full_check=True)
    after = Session(model, optimized=False).run({"x": values, "grid": grid})
    np.testing.assert_array_equal(after["y"], before["y"])
