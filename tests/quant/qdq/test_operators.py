"""Each target's list of operators: what it takes, what it refuses, and what is not known."""

import onnx
import pytest

from quant.analysis.topology import KNOWN
from quant.qdq.operators import OPERATORS, supported
from quant.targets import PROFILES


def of(operator: str, domain: str = "") -> onnx.ModelProto:
    node = onnx.helper.make_node(operator, ["x"], ["y"], "n", domain=domain)
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))


def test_every_target_has_a_list_with_its_source() -> None:
    assert OPERATORS.keys() == PROFILES.keys()
    assert all(item.source and not item.taken & item.refused for item in OPERATORS.values())


@pytest.mark.parametrize("target", PROFILES)
def test_what_a_file_of_ours_is_made_of_is_taken(target, emitted) -> None:
    answers = supported(emitted(target), PROFILES[target])
    assert len(answers) == len(emitted(target).graph.node)
    assert {item.answer for item in answers} == {"taken"}


@pytest.mark.parametrize(
    ("target", "operator", "answer"),
    [
        ("tensorrt", "QLinearConv", "not taken"),
        ("tensorrt", "Sigmoid", "taken"),
        ("qnn", "Loop", "not taken"),
        ("qnn", "GridSample", "not known"),
        ("ort", "Sigmoid", "not known"),
    ],
)
def test_what_the_source_says_is_said_and_no_more(target, operator, answer) -> None:
    (found,) = supported(of(operator), PROFILES[target])
    assert (found.node, found.operator, found.answer) == ("n", operator, answer)


def test_an_operator_of_another_domain_is_not_known() -> None:
    (found,) = supported(of("Conv", "com.vendor"), PROFILES["qnn"])
    assert found.answer == "not known"


def test_operators_that_a_plan_quantizes_are_known_of_the_chips_that_need_it() -> None:
    assert OPERATORS["qnn"].taken >= KNOWN
