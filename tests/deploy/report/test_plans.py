"""What a plan does, grouped by why."""

from pathlib import Path

from deploy.progress import Silent
from deploy.report.content import read_content
from deploy.report.plans import Reason, grouped, summarize_plan


def test_a_plan_is_summed_up_by_its_reasons(built: Path) -> None:
    plan = read_content(built, Silent()).plans["ort"]
    summary = summarize_plan(plan)
    assert summary.target == "ort"
    assert sum(len(reason.names) for reason in summary.kept_float) == len(plan.kept_float)
    assert sum(len(reason.names) for reason in summary.rules) == len(plan.edges)
    percentiles = [edge.percentile for edge in summary.edges]
    assert percentiles == sorted(percentiles)
    assert len(percentiles) == len(plan.edges)
    counts = [len(reason.names) for reason in summary.kept_float]
    assert counts == sorted(counts, reverse=True)
    assert ("full integer", "no") in summary.options
    assert ("accumulator bits", "16") in summary.options


def test_reasons_come_by_how_often_they_hold() -> None:
    assert grouped({"b": "tail", "a": "tail", "c": "trunk"}) == (
        Reason("tail", ("a", "b")),
        Reason("trunk", ("c",)),
    )
    assert grouped({}) == ()
