import numpy as np
import onnx
import pytest

from calib.runtime import Session
from quant.fp16.exact_factors import divide_where_exact

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
generator (float[1,3,2,2] input) => (float[1,3,2,2] output)
<float factor = {FACTOR}> {
    [residual] scaled = Mul(input, factor)
    [skip] output = Add(scaled, input)
}
"""


def scaled_by(factor: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(TEXT.replace("FACTOR", factor))


def first_operator(model: onnx.ModelProto) -> str:
    return str(model.graph.node[0].op_type)


@pytest.mark.parametrize(
    ("factor", "operator"),
    [("0.2", "Div"), ("0.1", "Div"), ("0.5", "Mul"), ("0.3", "Mul"), ("0.0", "Mul")],
    ids=["one fifth", "one tenth", "exact itself", "inexact either way", "zero"],
)
def test_only_a_factor_that_gains_becomes_a_divisor(factor: str, operator: str) -> None:
    assert first_operator(divide_where_exact(scaled_by(factor))) == operator


def test_a_kept_node_stays() -> None:
    assert first_operator(divide_where_exact(scaled_by("0.2"), {"residual"})) == "Mul"


def test_the_function_is_the_same_to_one_rounding_and_the_model_is_not_touched() -> None:
    model = scaled_by("0.2")
    before = model.SerializeToString()
    values = np.random.default_rng(1).normal(0.0, 3.0, (1, 3, 2, 2)).astype(np.float32)
    (expected,) = Session(model, optimized=False).run({"input": values}).values()
    changed = divide_where_exact(model)
    onnx.checker.check_model(changed, full_check=True)
    (found,) = Session(changed, optimized=False).run({"input": values}).values()
    np.testing.assert_allclose(found, expected, rtol=2.0**-22)
    assert model.SerializeToString() == before
