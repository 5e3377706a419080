"""Budgets: what a wish asks for, which layers pay for it, and builds that hold it."""

import json
import re
import shutil
from dataclasses import replace
from math import floor, log10
from pathlib import Path

import pytest

from calib.errors import UsageError
from calib.sample import sample_patches
from calib.tile import USUAL_SIZE
from deploy.artifacts.build_options import BudgetRecord
from deploy.artifacts.manifest import read_manifest
from deploy.artifacts.parity_record import ImageParity, ParityRecord, Threshold, read_parity
from deploy.build.budget import (
    FLOAT_PSNR_DB,
    Budget,
    described_nodes,
    parity_for_drop,
    promoted_nodes,
    require_int8,
)
from deploy.build.pictures import pictures_of
from deploy.cli.console import make_progress
from deploy.progress import Silent
from deploy.report import remake_report
from deploy.report.content import read_content
from quant.qdq.int8_share import Int8Share
from quant.sensitivity import ADDITIONS, GroupCost, Sensitivity, SensitivityFile


def test_a_drop_asks_for_the_parity_at_which_independent_errors_cost_it() -> None:
    for drop in (0.01, 0.05, 0.5):
        error = 10 ** (-FLOAT_PSNR_DB / 10) + 10 ** (-parity_for_drop(drop) / 10)
        assert -10 * log10(10 ** (-FLOAT_PSNR_DB / 10)) + 10 * log10(error) == pytest.approx(drop)


def test_the_stricter_of_two_wishes_counts() -> None:
    assert Budget.of(None, None) is None
    both = Budget.of(0.02, 40.0)
    assert both is not None
    assert both.asked == "max drop 0.02 dB"
    assert Budget.of(0.5, 45.0).asked == "min parity 45 dB"


@pytest.mark.parametrize("wish", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_number_of_db_is_refused(wish: float) -> None:
    with pytest.raises(UsageError, match="positive number of dB"):
        Budget.of(wish, None)
    with pytest.raises(UsageError, match="positive number of dB"):
        Budget.of(None, wish)


def with_budget(folder: Path, min_parity_db: float, off_db: float = 0.0) -> None:
    """Say in a manifest that its int8 model had a budget, and what the verdict found of it."""
    manifest = read_manifest(folder / "manifest.json")
    reached = manifest.joint_db(read_parity(folder))
    asked = f"min parity {min_parity_db:g} dB"
    budget = BudgetRecord(asked, min_parity_db, 99.0, manifest.verified_on.images)
    made = replace(manifest.options.targets["ort"], budget=budget)
    options = replace(manifest.options, targets={"ort": made})
    options = options.judged({target: db + off_db for target, db in reached.items()})
    (folder / "manifest.json").write_bytes(replace(manifest, options=options).content())


def test_a_budget_that_the_verdict_does_not_hold_is_told_by_whoever_reads_the_build(
    copy: Path,
) -> None:
    parity = read_parity(copy).artifacts["tiny-int8-ort.onnx"]
    errors = [10 ** (-image.psnr_db / 10) for image in parity.per_image]
    reached = parity.joint_db
    assert reached == pytest.approx(-10 * log10(sum(errors) / len(errors)), abs=1e-4)
    with_budget(copy, reached - 1.0)
    content = read_content(copy, Silent())
    assert not [line for line in content.warnings if "min parity" in line]
    budget = content.manifest.options.targets["ort"].budget
    assert str(budget).endswith(f"reach {reached:.2f} dB together")
    with_budget(copy, reached + 2.0)
    content = read_content(copy, Silent())
    (line,) = [line for line in content.warnings if "min parity" in line]
    # Rounded down: what falls short by a hair does not read as if it held.
    assert f"reach {floor(100 * reached) / 100:.2f} dB together where it asks for" in line
    assert re.search(r"ask for 2\.[01] dB of parity more", line)
    budget = content.manifest.options.targets["ort"].budget
    assert "fall short" in str(budget)
    (check,) = [one for one in content.checks if one.name == "parity figures"]
    assert check.status == "passed"


def test_what_the_verdict_found_of_a_budget_follows_from_the_pictures(copy: Path) -> None:
    with_budget(copy, 60.0, off_db=25.0)
    (check,) = [one for one in read_content(copy, Silent()).checks if one.name == "parity figures"]
    assert check.status == "failed"
    assert "another parity of a budget" in check.detail


@pytest.mark.parametrize("psnr_db", [-1e308, -400.0, 400.0, 1e308])
def test_figures_beyond_all_measure_are_still_figures(psnr_db: float) -> None:
    images = (ImageParity("a", psnr_db, 1.0, 0.0),)
    summary = ("float", 1, psnr_db, psnr_db, 1.0, 1.0, 0.0, True)
    record = ParityRecord(*summary, Threshold(27.0, 0.6), (), images)
    assert abs(record.joint_db) <= 300.0


def test_each_raised_convolution_has_its_reason() -> None:
    groups = (GroupCost("b5", ("b1", "b5"), 4e-4, 90), GroupCost("c5", ("c5",), 1e-4, 10))
    measured, budget = Sensitivity(groups, 5e-4, 1), Budget(38.0, "min parity 38 dB")
    found = promoted_nodes(measured, budget, 38.0, "float")
    assert list(found) == ["b1", "b5"]
    assert found["b1"] == (
        "promoted for min parity 38 dB: number 1 of 2 layer groups by cost; quantized alone it "
        "leaves 34.0 dB"
    )


def test_16_bits_are_spent_where_they_pay_most_for_each_multiplication() -> None:
    groups = (
        GroupCost("b5", ("b1", "b5"), 4e-4, 900),
        GroupCost("c5", ("c5",), 1e-4, 100),
        GroupCost(ADDITIONS, ("add1", "add2"), 3e-4, 0),
    )
    measured, budget = Sensitivity(groups, 8e-4, 1), Budget(33.0, "min parity 33 dB")
    found = promoted_nodes(measured, budget, 33.0, "int16")
    assert list(found) == ["add1", "add2"]
    assert "number 1 of 3 layer groups by cost for each multiplication" in found["add1"]
    assert described_nodes(found, measured) == (
        "0 convolutions, 0 % of the multiplications, and the residual additions"
    )
    more = promoted_nodes(measured, budget, 33.9, "int16")
    assert list(more) == ["add1", "add2", "c5"]
    assert described_nodes(more, measured) == (
        "1 convolution, 10 % of the multiplications, and the residual additions"
    )
    assert list(promoted_nodes(measured, budget, 33.9, "float")) == ["b1", "b5"]


def test_rounding_and_holding_a_budget_never_share_a_picture() -> None:
    probe = None
    for source in (sample_patches("calibration", 12), sample_patches("calibration", 3)):
        pictures = pictures_of(source, USUAL_SIZE, probe)
        rounds = {patch.name for patch in pictures.rounding.patches}
        holds = {patch.name for patch in pictures.held_out.patches}
        assert rounds
        assert holds
        assert rounds.isdisjoint(holds)
    verified = {patch.name for patch in sample_patches("verification", 8).patches}
    assert verified.isdisjoint(rounds | holds)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(("left", "holds"), [(0, False), (49, False), (50, True), (100, True)])
def test_a_budget_that_leaves_less_than_half_in_8_bits_has_to_be_allowed(
    left: int, holds: bool, allowed: bool
) -> None:
    names = tuple(map(str, range(100)))
    before = Int8Share(names, names, (), 100, 100)
    after = Int8Share(names, names[:left], (), 100, left)
    wide = Int8Share(names, names, names[left:], 100, 100, 100 - left)
    budget = Budget.of(None, 40.0, mostly_promoted=allowed)
    for found in (after, wide):
        if holds or allowed:
            require_int8(budget, before, found)
        else:
            with pytest.raises(UsageError, match=f"leaves {left} % of the multiply-accumulates"):
                require_int8(budget, before, found)


def test_a_build_holds_its_budget_and_says_what_it_cost(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from deploy.build.calibrate import CalibrationRequest
    from deploy.build.request import BuildRequest
    from deploy.pipeline import build_model

    def build(budget: Budget | None):
        return build_model(
            BuildRequest(
                "tiny",
                weights=tiny_weights,
                calibration=CalibrationRequest(count=2),
                budget=budget,
                out=tmp_path,
            ),
            make_progress(),
        )

    free = build(None)
    name = "tiny-int8-ort.onnx"
    parity = free.manifest.parity.artifacts[name].psnr_db_mean
    assert free.manifest.options.targets["ort"].promoted == {}
    held = build(Budget.of(None, parity + 6.0))
    assert held.verification.passed
    recorded = held.manifest.options.targets["ort"].budget
    assert recorded.verdict_db == held.verification.parity_record().artifacts[name].joint_db
    assert any("min parity" in line for line in held.warnings) == bool(recorded.missing_db)
    promoted = held.manifest.options.targets["ort"].promoted
    assert promoted
    assert held.manifest.parity.artifacts[name].psnr_db_mean > parity + 3.0
    plan = json.loads((tmp_path / "tiny" / "tiny-int8-ort.plan.json").read_text())
    assert {plan["kept_float"][node] for node in promoted} == set(promoted.values())
    path = tmp_path / "tiny" / "tiny-int8-ort.sensitivity.json"
    measured = SensitivityFile.read(path).measured
    assert {node for group in measured.groups for node in group.nodes} >= set(promoted)
    page = (tmp_path / "tiny" / "report.html").read_text()
    assert page.count('class="cost') == len(measured.groups)
    assert 'class="cost promoted"' in page
    spoilt = Path(shutil.copytree(tmp_path / "tiny", tmp_path / "spoilt"))
    (spoilt / name).write_bytes((spoilt / name).read_bytes()[:-1])
    assert remake_report(spoilt, Silent()) is False
    assert 'class="cost' not in (spoilt / "report.html").read_text()
    before = {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()}
    with pytest.raises(UsageError, match=r"asks for 900\.00 dB"):
        build(Budget.of(None, 900.0))
    stage = tmp_path / "tiny" / ".unfinished"
    assert f"{stage} keeps what was done so far" in capsys.readouterr().err
    assert (stage / "calibration.json").is_file()
    monkeypatch.setattr("deploy.build.budget.LEAST_LEFT", 1.0)  # one convolution is little
    with pytest.raises(UsageError, match=r"undoes int8.*--allow-mostly-promoted"):
        build(Budget.of(None, 70.0))
    after = (path for path in (tmp_path / "tiny").iterdir() if path.is_file())
    assert {path.name: path.read_bytes() for path in after} == before
