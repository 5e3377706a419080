"""The verdict says what failed, whatever failed, and claims nothing else."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from calib.tile import Size
from deploy.artifacts.build_folder import load_build
from deploy.artifacts.check import Check
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import read_manifest
from deploy.artifacts.parity_record import Threshold, VerifiedOn
from deploy.artifacts.precision import PRECISIONS
from deploy.cli.verdicts import builds_line, verdict_lines
from deploy.metrics.parity import UNSEEN_DB, ImageParity, ParityResult
from deploy.metrics.thresholds import THRESHOLDS, limit_reasons, threshold_of
from deploy.runtime.backends import is_installed
from deploy.verify.backend_error import BackendError
from deploy.verify.chart import ChartParity, PatchParity
from deploy.verify.judges import Judges, sample_judges
from deploy.verify.latency import Latency
from deploy.verify.verdict import _not_run_here
from deploy.verify.verification import Verification

CHECKS = {
    "none": (),
    "passed": (Check.of(True, "file", "x-int8.onnx", "sha256 0"),),
    "skipped": (Check.skipped("weights", "x-fp32.onnx", "they are not at hand"),),
    "failed": (Check.of(False, "file", "x.plan.json", "sha256 1"),),
    "two failed": (
        Check.of(False, "file", "x.plan.json", "sha256 1"),
        Check.of(False, "derivation", "x-int8.onnx", "a scale"),
    ),
}
INT8 = THRESHOLDS["int8"]
PARITY = {
    "none": (),
    "near": (("x-int8.onnx", INT8, (45.0, 0.99)),),
    "acceptable": (("x-int8.onnx", INT8, (30.0, 0.99)),),
    "noisy": (("x-int8.onnx", INT8, (26.9996, 0.99)),),
    "unlike": (("x-int8.onnx", INT8, (30.0, 0.59999)),),
    "both": (("x-int8.onnx", INT8, (20.0, 0.1)),),
    "nan": (("x-int8.onnx", INT8, (float("nan"), 0.99)),),
    "no similarity": (("x-int8.onnx", INT8, (45.0, None)),),
    "map": (("x-int8.onnx", Threshold(20.0, None), (19.0, None)),),
    "one of two": (
        ("x-fp16.onnx", THRESHOLDS["fp16"], (54.0, 0.999)),
        ("x-int8.onnx", INT8, (45.0, 0.99)),
    ),
}
SHORTFALLS = {
    "noisy": ("26.99 dB on 0801.png, needs 27",),
    "unlike": ("SSIM 0.5999 on 0801.png, needs 0.6",),
    "both": ("20.00 dB on 0801.png, needs 27", "SSIM 0.1000 on 0801.png, needs 0.6"),
    "nan": ("no dB on 0801.png, needs 27",),
    "no similarity": ("SSIM none on 0801.png, needs 0.6",),
    "map": ("19.00 dB on 0801.png, needs 20",),
    "one of two": ("x-fp16.onnx is too far from float (54.00 dB on 0801.png, needs 55)",),
}


@pytest.fixture(scope="module")
def judges() -> Judges:
    return sample_judges(Size(128, 128))


def compared(entries) -> tuple[ParityResult, ...]:
    return tuple(
        ParityResult(name, "x-fp32.onnx", limit, (ImageParity("0801.png", *figures, 0.5),))
        for name, limit, figures in entries
    )


@pytest.mark.parametrize(("checks", "parity"), list(product(CHECKS, PARITY)))
def test_every_verdict_says_what_failed_and_nothing_else(checks, parity, judges) -> None:
    verification = Verification("x", judges, CHECKS[checks], compared(PARITY[parity]))
    line = "\n".join([verification.counted, *verdict_lines(verification)])
    failed = [check for check in verification.checks if check.status == "failed"]
    expected = [f"{check.artifact} ({check.name})" for check in failed]
    expected += SHORTFALLS.get(parity, ())
    expected += ["no model was compared"] if parity == "none" else []
    assert verification.passed == (not expected)
    assert ("VERIFICATION FAILED" in line) == bool(expected)
    assert ("verified" in line) == (not expected)
    for words in expected:
        assert words in line
    if not failed:
        assert "plan.json" not in line
    near = len(PARITY[parity]) - (parity in SHORTFALLS)
    assert f"{near} of {len(PARITY[parity])} comparisons of pictures passed" in line
    assert f"{len(failed)} failed" in line
    record = verification.record()
    assert record["passed"] == (record["failures"] == [])


@pytest.mark.parametrize("low_db", [(), (12.0,), (12.0, 26.9)])
def test_a_low_test_chart_stands_before_the_verdict(low_db: tuple[float, ...], judges) -> None:
    patches = [PatchParity(f"patch {at}", at) for at in (*low_db, 30.0, 40.0)]
    charts = (ChartParity("x-int8-qnn.onnx", tuple(patches)),)
    good = Verification("x", judges, CHECKS["passed"], compared(PARITY["near"]), charts=charts)
    words = f"x-int8-qnn.onnx: on {len(low_db)} of {len(patches)} patches of a test chart it is not"
    *bounds, verdict = verdict_lines(good)
    assert any(line.startswith(words) for line in bounds) == bool(low_db)
    assert verdict.startswith("verified")
    assert good.passed


SUMMARY = compared(PARITY["near"])[0].summary()
OWN = VerifiedOn(
    "held-back", replace(sample_judges(Size(128, 128)).patches.record(), origin="folder")
)


@pytest.mark.parametrize(("here", "level"), [("near", 45.0), ("acceptable", 30.0)])
@pytest.mark.parametrize("before_db", [20.0, 33.13, 45.0])
def test_easier_pictures_raise_no_verdict(here, level, before_db, judges) -> None:
    """What a build was found to reach on its own pictures bounds what others let it claim."""
    recorded = replace(SUMMARY, psnr_db_min=before_db, passed=before_db >= 27)
    found = Verification(
        "x", judges, CHECKS["passed"], compared(PARITY[here]),
        recorded={"x-int8.onnx": recorded}, recorded_on=OWN,
    )  # fmt: skip
    assert found.passed == (before_db >= 27)
    if not found.passed:
        assert found.banner == (
            "VERIFICATION FAILED: x-int8.onnx was too far from float when it was built (20.00 dB "
            f"at worst on {OWN.counted})"
        )
        return
    unseen = min(level, before_db) >= UNSEEN_DB
    assert found.level == ("cannot be told apart" if unseen else "acceptable")
    claim = "cannot be told from float" if unseen else "acceptable"
    assert found.banner.startswith(f"verified, {claim}: at least {before_db:.2f} dB when it was")
    assert f"here at least {level:.2f} dB on 6 pictures of the embedded sample" in found.banner


@pytest.mark.parametrize("own", [True, False])
def test_who_calibrated_on_own_pictures_is_told_that_none_of_them_judged(own: bool, judges) -> None:
    parity = compared(PARITY["near"])
    found = Verification("x", judges, CHECKS["passed"], parity, own_calibration=own)
    assert ("(6 pictures of the embedded sample, none of your own)" in found.banner) == own
    theirs = replace(judges, choice="folder")
    assert "none of your own" not in replace(found, judges=theirs).banner


def test_of_several_builds_the_last_line_is_of_all(judges) -> None:
    good = Verification("good", judges, CHECKS["passed"], compared(PARITY["near"]))
    bad = Verification("bad", judges, CHECKS["failed"], compared(PARITY["near"]))
    assert builds_line([good, good]) == "2 builds: 2 verified"
    assert builds_line([bad, good]) == "2 builds: 1 verified; VERIFICATION FAILED: bad"


def test_what_has_no_runtime_here_is_said_beside_the_verdict(small_build: Path) -> None:
    manifest = read_manifest(small_build / MANIFEST_NAME)
    build, _ = load_build(small_build, manifest, {item.path for item in manifest.models()})
    name = "small-int8-openvino.onnx"
    timed = Latency(name, "openvino 1", (0.1,), (0.1,))
    run = BackendError(name, "openvino", "1", (), 40.0, 40.0)
    assert _not_run_here(build, (), ()) == (name,)
    assert _not_run_here(build, (timed,), ()) == ()
    assert _not_run_here(build, (), (replace(run, backend="ort"),)) == (name,)
    assert _not_run_here(build, (), (run,)) == (() if is_installed("openvino") else (name,))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", ["picture", "map"])
def test_each_low_limit_is_explained_with_its_figures(precision, kind) -> None:
    limit = threshold_of(precision, kind)
    reasons = limit_reasons([limit, limit])
    low = limit.psnr_db < UNSEEN_DB
    assert len(reasons) == low
    if low:
        assert f"{limit.psnr_db:g} dB" in reasons[0]
        assert limit.ssim is None or f"SSIM {limit.ssim:g}" in reasons[0]


def test_of_many_failures_the_verdict_names_a_few_and_counts_the_rest(judges) -> None:
    checks = tuple(Check.of(False, "file", f"{name}.onnx", "changed") for name in "abcdef")
    line = Verification("x", judges, checks, compared(PARITY["near"])).banner
    assert "d.onnx (file); 2 more" in line
    assert "e.onnx" not in line
