"""What a plan does, grouped by why."""

from dataclasses import replace

import pytest

from calib.images_record import ImagesRecord, PatchRecord
from calib.tile import USUAL_SIZE
from deploy.report.plans import Gain, Reason, grouped, summarize_plan
from quant.evidence import RefinementRecord, RefinementStage
from quant.plan import (
    ConstantQuant,
    EdgeQuant,
    QuantOptions,
    QuantPlan,
    RoundingRecord,
    WeightQuant,
)

IMAGES = ImagesRecord("folder", "whole", 0, None, 0, USUAL_SIZE, "0" * 64, ())


def edge(tensor: str, dtype: str, rule: str, percentile: float = 100.0) -> EdgeQuant:
    return EdgeQuant(tensor, dtype, 0.5, 0, 0.0, 127.5, rule, ("reader",), None, percentile)


PLAN = QuantPlan(
    target="ort",
    network_digest="1",
    table_digest="2",
    options=QuantOptions(accumulator_bits=16, tail="int8"),
    edges={
        "input": edge("input", "uint8", "pinned"),
        "b": edge("b", "uint8", "least squares, shared by 2 edges"),
        "a": edge("a", "uint8", "least squares, shared by 2 edges"),
        "c": edge("c", "uint8", "least squares", 99.5),
        "c:int16": edge("c", "uint16", "least squares, clipping weighs 10", 99.9),
    },
    weights={name: WeightQuant(name, (1.0,), 16, None) for name in ("w0", "w1", "w2")},
    constants={"fifth": ConstantQuant("uint8", 0.1, 0, ("scale",))},
    stored_half=(),
    kept_float={"sum": "the trunk", "first": "the head", "scale": "the trunk"},
    rounded=RoundingRecord(IMAGES, {}, {"w1": "2 groups", "w0": "2 groups", "w2": "not driven"}),
)


def test_a_plan_is_summed_up_by_its_reasons_the_most_frequent_first() -> None:
    summary = summarize_plan(PLAN)
    assert (summary.target, summary.weights) == ("ort", 3)
    assert [edge.percentile for edge in summary.edges] == [99.5, 99.9, 100.0, 100.0, 100.0]
    assert [edge.tensor for edge in summary.edges] == ["c", "c", "a", "b", "input"]
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
    told = summarize_plan(PLAN).options
    assert told[0] == ("activations", "1 uint16, 4 uint8")
    assert {
        ("percentile", "chosen per tensor"),
        ("full integer", "no"),
        ("accumulator bits", "16"),
        ("tail", "int8"),
        ("rounding", "gptq"),
    } <= set(told)


def test_reasons_come_by_how_often_they_hold() -> None:
    assert grouped({"b": "tail", "a": "tail", "c": "trunk"}) == (
        Reason("tail", ("a", "b")),
        Reason("trunk", ("c",)),
    )
    assert grouped({}) == ()


def stages(*reached: tuple[float | None, bool]) -> RefinementRecord:
    judges = ImagesRecord(
        "folder",
        "whole",
        0,
        None,
        2,
        USUAL_SIZE,
        "0" * 64,
        (PatchRecord("a", "1"), PatchRecord("b", "2")),
    )
    made = (
        RefinementStage(f"stage {number}", 100 * number, parity_db, taken)
        for number, (parity_db, taken) in enumerate(reached, 1)
    )
    return RefinementRecord("cpu", IMAGES, judges, 36.0, tuple(made), {}, {})


def test_what_learning_brought_is_told_step_by_step() -> None:
    refined = stages((36.5, True), (36.25, False), (37.0, True))
    summary = summarize_plan(replace(PLAN, refined=refined))
    assert summary.judges == 2
    assert summary.gains == (
        Gain("GPTQ", 0, "36.00", "", taken=True),
        Gain("stage 1", 100, "36.50", "+0.50", taken=True),
        Gain("stage 2", 200, "36.25", "-0.25", taken=False),
        Gain("stage 3", 300, "37.00", "+0.50", taken=True),
    )


@pytest.mark.parametrize("start", [36.0, None])
def test_equal_pictures_are_no_number(start: float | None) -> None:
    refined = replace(stages((None, True)), parity_db=start)
    first, second = summarize_plan(replace(PLAN, refined=refined)).gains
    assert first.parity_db == ("no difference" if start is None else "36.00")
    assert (second.parity_db, second.gained) == ("no difference", "")


def test_a_plan_of_which_nothing_was_learned_tells_of_no_gain() -> None:
    assert summarize_plan(PLAN).gains == ()
