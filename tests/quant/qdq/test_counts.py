"""Integers that count, index or select are no values, whichever operator reads or makes them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calib.graph import GraphIndex
from quant.qdq.rule_checks import concat_scale, every_operator
from quant.qdq.view import QdqView
from quant.targets import find_profile

OPSET = 17
COUNTS = ("tensor(int64)", "tensor(int32)", "tensor(bool)")
FLOAT = "tensor(float)"
QNN, TENSORRT = find_profile("qnn"), find_profile("tensorrt")
PLUMBING = {"QuantizeLinear", "DequantizeLinear", "Constant"}


def operators() -> list[str]:
    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    return [name for name in sorted(names - PLUMBING) if onnx.defs.has(name, OPSET)]


def type_of(parameter: onnx.defs.OpSchema.FormalParameter) -> int:
    """Return float where a parameter may be that, else the integers that it has to be."""
    if FLOAT in parameter.types:
        return int(TensorProto.FLOAT)
    counts = [kind for kind in COUNTS if kind in parameter.types]
    names = {"tensor(int64)": "INT64", "tensor(int32)": "INT32", "tensor(bool)": "BOOL"}
    return int(TensorProto.DataType.Value(names[counts[0]])) if counts else 0


def single_node(operator: str) -> tuple[onnx.ModelProto, set[str], set[str]] | None:
    """Return a graph of one node, the tensors of floats around it, and those of counts."""
    schema = onnx.defs.get_schema(operator, OPSET)
    taken = {f"i{slot}": type_of(one) for slot, one in enumerate(schema.inputs)}
    given = {f"o{slot}": type_of(one) for slot, one in enumerate(schema.outputs)}
    types = {**taken, **given}
    if not all(types.values()):  # strings and sequences
        return None
    floats = {name for name, kind in types.items() if kind == TensorProto.FLOAT}
    constants = [
        numpy_helper.from_array(np.zeros(1, helper.tensor_dtype_to_np_dtype(kind)), name)
        for name, kind in taken.items()
        if name not in floats
    ]
    graph = helper.make_graph(
        [helper.make_node(operator, list(taken), list(given), "n")],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in taken
         if name in floats],
        [helper.make_tensor_value_info(name, kind, [1]) for name, kind in given.items()],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    return model, floats, types.keys() - floats


CASES = {name: case for name in operators() if (case := single_node(name)) is not None}


def test_the_walk_passes_those_that_count() -> None:
    counting = {name for name, (_, _, counts) in CASES.items() if counts}
    assert {"ScatterND", "GatherElements", "TopK", "ArgMax", "Where", "Reshape"} <= counting
    assert len(CASES) > 100


@pytest.mark.parametrize("operator", CASES)
def test_only_floats_are_asked_to_be_quantized(operator: str) -> None:
    model, floats, counts = CASES[operator]
    view = QdqView(GraphIndex(model))
    named = {found.split()[0] for _, found, _ in every_operator(view, QNN)}
    assert named <= floats
    assert all(view.counts(name) for name in counts)
    # Factors and bounds stay floats: see says_how.
    assert floats - named <= ({"i1", "i2"} if operator in {"Clip", "Pad", "Resize"} else set())


def concat(*, with_float_reader: bool, inputs: str = "float") -> QdqView:
    pair = "d_q = QuantizeLinear(d, s, z) d_v = DequantizeLinear(d_q, s, z)" * (inputs != "float")
    left = "d_v" if inputs != "float" else "d"
    text = f"""g (float[1,2,4,4] a, float[1,2,4,4] b) => (float[1,4,4,4] y, float[1,4,4,4] other)
    <float s = {{0.1}}, int8 z = {{0}}>
    {{
      d = Relu(a)
      {pair}
      joined = Concat<axis=1>({left}, b)
      j_q = QuantizeLinear(joined, s, z)
      y = DequantizeLinear(j_q, s, z)
      other = Relu({"joined" if with_float_reader else "y"})
    }}"""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {OPSET}]> {text}')
    return QdqView(GraphIndex(model))


@pytest.mark.parametrize(
    ("with_float_reader", "inputs", "kept"),
    [(True, "float", True), (False, "float", False), (True, "one pair", False)],
)
def test_a_concat_of_floats_that_floats_are_read_of_needs_no_scale(
    with_float_reader: bool, inputs: str, kept: bool
) -> None:
    view = concat(with_float_reader=with_float_reader, inputs=inputs)
    assert (list(concat_scale(view, TENSORRT)) == []) == kept
