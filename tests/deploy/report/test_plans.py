"""What a plan does, grouped by why."""

from deploy.report.plans import Reason, grouped, summarize_plan
from quant.plan import ConstantQuant, EdgeQuant, QuantPlan, RoundingRecord, WeightQuant


def edge(tensor: str, dtype: str, rule: str) -> EdgeQuant:
    return EdgeQuant(tensor, dtype, 0.5, 0, 0.0, 127.5, rule, ("reader",), None)


PLAN = QuantPlan(
    target="ort",
    graph_digest="1",
    table_digest="2",
    options={"percentile": None, "full_integer": False, "accumulator_bits": 16, "tail": "int8"},
    edges={
        "input": edge("input", "uint8", "pinned"),
        "b": edge("b", "uint8", "least squares, shared by 2 edges"),
        "a": edge("a", "uint8", "least squares, shared by 2 edges"),
        "c": edge("c", "uint8", "least squares"),
        "c:int16": edge("c", "uint16", "least squares, clipping weighs 10"),
    },
    weights={name: WeightQuant(name, (1.0,), 16, None) for name in ("w0", "w1", "w2")},
    constants={"fifth": ConstantQuant("uint8", 0.1, 0, ("scale",))},
    stored_half=(),
    kept_float={"sum": "the trunk", "first": "the head", "scale": "the trunk"},
    rounded=RoundingRecord({}, {}, {"w1": "2 groups", "w0": "2 groups", "w2": "not driven"}),
)


def test_a_plan_is_summed_up_by_its_reasons_the_most_frequent_first() -> None:
    summary = summarize_plan(PLAN)
    assert (summary.target, summary.weights, summary.edges) == ("ort", 3, 5)
    assert summary.rules == (
        Reason("least squares", ("a", "b", "c")),
        Reason("least squares, clipping weighs 10", ("c:int16",)),
        Reason("pinned", ("input",)),
    )
    assert summary.kept_float == (
        Reason("the trunk", ("scale", "sum")),
        Reason("the head", ("first",)),
    )
    assert summary.nearest == (
        Reason("2 groups", ("w0", "w1")),
        Reason("not driven", ("w2",)),
    )


def test_options_are_told_in_words() -> None:
    assert summarize_plan(PLAN).options == (
        ("activations", "1 uint16, 4 uint8"),
        ("percentile", "chosen per tensor"),
        ("full integer", "no"),
        ("accumulator bits", "16"),
        ("tail", "int8"),
    )


def test_reasons_come_by_how_often_they_hold() -> None:
    assert grouped({"b": "tail", "a": "tail", "c": "trunk"}) == (
        Reason("tail", ("a", "b")),
        Reason("trunk", ("c",)),
    )
    assert grouped({}) == ()
