"""Print the verdict on builds: a table, what did not pass, and one line that says it all."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploy.cli.console import print_table, say, short_digests
from deploy.cli.measured import show_backends, show_layers, show_speed
from deploy.metrics.decibels import decibels, rounded_down

if TYPE_CHECKING:
    from deploy.verify.verification import Verification

_NOT_ASKED = {
    "weights": "float not compared with the original weights in torch",
    "ONNX file": "float not compared with the ONNX file it was built from",
    "backend ort": "not run in onnxruntime",
    "backend openvino": "not run in OpenVINO",
    "recorded parity": "the figures of the build not taken again",
}
"""Names of checks that may be skipped in a build that holds, with what then was not asked."""


def _spelled(ssim: float | None, form: str) -> str:
    """Return a similarity, of which maps have none."""
    return "-" if ssim is None else format(ssim, form)


def show_verification(verification: "Verification", *, layers_elsewhere: str = "") -> None:
    """Print the parity table of one build, then every check that did not pass.

    Args:
        verification: of the build.
        layers_elsewhere: where the error of each layer is told; empty: in tables here.
    """
    from deploy.metrics.parity import UNSEEN_DB
    from deploy.verify.original import ORIGINAL_NAMES

    rows = [
        [
            result.candidate,
            result.against,
            decibels(result.summary().psnr_db_mean),
            decibels(rounded_down(result.summary().psnr_db_min)),
            f"{result.threshold.psnr_db:g}",
            _spelled(result.summary().ssim_min, ".4f"),
            _spelled(result.threshold.ssim, "g"),
            result.verdict,
        ]
        for result in verification.parity
    ]
    columns = ["file", "against", "parity dB mean", "lowest", "needs"]
    columns += ["SSIM lowest", "needs", "verdict"]
    if rows:
        print_table(f"{verification.model}: {verification.image_note}", columns, rows)
        say(
            "needs: what the lowest must reach to be acceptable; it cannot be told apart where it "
            f"reaches that and {UNSEEN_DB:g} dB"
        )
    for reason in verification.limit_reasons:
        say(reason)
    for line in (*verification.lowest, *verification.charts):
        say(line)
    for result in verification.parity:
        if result.reference in ORIGINAL_NAMES:
            shown = ", ".join(image.name for image in result.images)
            say(
                f"{result.candidate} and {result.against} were compared on {shown}: two float "
                "engines differ in rounding alone, and another picture gives other dB"
            )
    for check in verification.checks:
        if check.status != "passed":
            label = "FAIL" if check.status == "failed" else "skipped"
            say(f"{label}  {check.artifact}  {check.name}: {short_digests(check.detail)}")
    show_speed(verification)
    show_backends(verification)
    show_layers(verification, layers_elsewhere)
    for warning in verification.warnings:
        say(f"warning: {warning}")
    say(verification.counted)
    for line in verdict_lines(verification):
        say(line)


def verdict_lines(verification: "Verification") -> list[str]:
    """Return what bounds a verdict, and last the verdict in words.

    What was not asked of a build that holds stands in the verdict itself.
    """
    if not verification.passed:
        return [verification.banner]
    original = verification.compared_with
    held = "" if original is None else f"; float compared with {original}"
    skipped = {check.name for check in verification.checks if check.status == "skipped"}
    left_out = [_NOT_ASKED.get(name, name) for name in sorted(skipped)]
    but = f"; but {', '.join(left_out)} (see above)" if left_out else ""
    bounds = [
        f"{item.artifact}: {item.counted} (see above)"
        for item in verification.charts
        if item.counted
    ]
    if verification.not_run_here:
        unrun = ", ".join(verification.not_run_here)
        bounds.append(f"not run here in the runtime it is made for: {unrun}")
    return [*bounds, verification.banner + held + but]


def builds_line(verifications: "Sequence[Verification]") -> str:
    """Return the verdict on several builds together, which the last one's alone would not be."""
    failed = [item.model for item in verifications if not item.passed]
    line = f"{len(verifications)} builds: {len(verifications) - len(failed)} verified"
    return f"{line}; VERIFICATION FAILED: {', '.join(failed)}" if failed else line
