import onnx
import pytest

from deploy.verify.reproduce import model_differences

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
generator (float[1,3,4,4] input) => (float[1,3,4,4] output)
<float[1] scale = {0.25}, float[3] slopes = {0.1, 0.2, 0.3}> {
    [first] scaled = Mul(input, scale)
    [second] output = LeakyRelu<alpha = 0.2>(scaled)
}
"""


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "scale = {0.25}",
            "scale = {0.5}",
            "tensor scale differs in 1 of 1 values, the first is 0.5, expected 0.25",
        ),
        (
            "{0.1, 0.2, 0.3}",
            "{0.1, 0.2, 0.4}",
            "tensor slopes differs in 1 of 3 values",
        ),
        ("float[3] slopes = {0.1, 0.2, 0.3}", "float[1] slopes = {0.1}", "tensor slopes is"),
        ("alpha = 0.2", "alpha = 0.1", "node second is missing or differs"),
        ("[second]", "[third]", "node second is missing or differs"),
    ],
    ids=["scale", "one of many", "shape", "attribute", "renamed"],
)
def test_a_difference_is_named(old: str, new: str, line: str) -> None:
    lines = model_differences(parsed(TEXT), parsed(TEXT.replace(old, new)))
    assert any(line in found for found in lines), lines


def test_a_difference_outside_the_graph_is_still_a_difference() -> None:
    other = parsed(TEXT)
    other.producer_name = "somebody else"
    assert model_differences(parsed(TEXT), other) == [
        "its serialization differs outside nodes and initializers"
    ]
