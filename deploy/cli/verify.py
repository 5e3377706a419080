"""Run ``esrdeploy verify``: check every build in a folder and print a verdict per file."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calib.errors import UsageError
from deploy.cli.console import make_progress, print_json, print_table, short_digests
from deploy.cli.measured import show_backends, show_layers, show_speed
from deploy.cli.options import AsJson, PrecisionChoice, lowest
from deploy.cli.signing import (
    Key,
    Sign,
    require_signed_builds,
    require_signed_bundle,
    show_signed_verdict,
    signer_of,
)
from deploy.metrics.decibels import decibels, rounded_down

if TYPE_CHECKING:
    from deploy.runtime.backends import BackendName
    from deploy.verify.verification import Verification

_RETURNED = "Results of a vendor"
_NOT_ASKED = {
    "weights": "float not compared with the original weights in torch",
    "ONNX file": "float not compared with the ONNX file it was built from",
    "backend ort": "not run in onnxruntime",
    "backend openvino": "not run in OpenVINO",
    "recorded parity": "the figures of the build not taken again",
}
"""Names of checks that may be skipped in a build that holds, with what then was not asked."""


class BackendChoice(str, Enum):
    """What ``--backend`` takes: each of :data:`deploy.runtime.backends.BACKENDS`, or none."""

    ORT = "ort"
    OPENVINO = "openvino"
    NONE = "none"


def verify(
    path: Annotated[
        Path,
        typer.Argument(help="Folder with one or more builds; with --returned, the bundle."),
    ] = Path("dist"),
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images to compare on, instead of the embedded sample. Images that "
            "were calibrated on are left out."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The checkpoint that was built from, if it was one of your own."),
    ] = None,
    onnx_file: Annotated[
        Path | None,
        typer.Option("--onnx", help="The ONNX file that was built from, if it was one."),
    ] = None,
    backend: Annotated[
        list[BackendChoice] | None,
        typer.Option(
            "--backend",
            help="Run every file in this runtime too and report that runtime's own error; "
            "repeatable. Default: each file in the runtime it is made for, where that is "
            "installed. 'none' runs and times none.",
        ),
    ] = None,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Show the layer-wise SQNR of each int8 file against the float network."
        ),
    ] = False,
    returned: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a vendor's outputs for the golden inputs of the handoff bundle PATH: "
            "judge those instead.",
            rich_help_panel=_RETURNED,
        ),
    ] = None,
    vendor: Annotated[
        str | None,
        typer.Option(
            "--vendor",
            "--target",
            help="Vendor whose results they are, if the bundle is for several.",
            rich_help_panel=_RETURNED,
        ),
    ] = None,
    precision: Annotated[
        PrecisionChoice,
        typer.Option(help="Precision the vendor built in.", rich_help_panel=_RETURNED),
    ] = PrecisionChoice.INT8,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Target of our int8 model in the bundle to show beside them, such as qnn-w8a16.",
            rich_help_panel=_RETURNED,
        ),
    ] = None,
    hr: Annotated[
        Path | None,
        typer.Option(
            help="Folder of HR photographs of the golden inputs.", rich_help_panel=_RETURNED
        ),
    ] = None,
    layout: Annotated[
        Literal["nchw", "nhwc"],
        typer.Option(help="Layout of files without a header.", rich_help_panel=_RETURNED),
    ] = "nchw",
    output_quantization: Annotated[
        str | None,
        typer.Option(
            "--output-quantization",
            "--codes",
            metavar="DTYPE:SCALE:ZERO_POINT",
            help="What integer outputs stand for, such as int8:0.0039:-128.",
            rich_help_panel=_RETURNED,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Page to write, NAME.html, with the record beside it as NAME.json; an earlier "
            "verdict there gives way. Default: RETURNED-returned-report.html in the current "
            "folder, or with a number behind it where another verdict has that name; never in "
            "RETURNED.",
            rich_help_panel=_RETURNED,
        ),
    ] = None,
    sign: Sign = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Re-check every artifact under PATH; exit 1 if any fails."""
    if sign is not None and returned is None:
        raise UsageError("found --sign without --returned; 'build --sign' signs a build")
    if returned is not None:
        require_signed_bundle(path, key)
        from deploy.cli.returned import verify_returned
        from deploy.handoff.returned.files import OutputFormat
        from deploy.handoff.returned.quantization import OutputQuantization
        from deploy.handoff.returned.request import ReturnedRequest
        from deploy.handoff.vendors import vendor_name

        quantization = None
        if output_quantization is not None:
            quantization = OutputQuantization.parse(output_quantization)
        request = ReturnedRequest(
            folder=returned,
            bundle=path,
            vendor=None if vendor is None else vendor_name(vendor),
            precision=lowest([precision]),
            profile=profile,
            hr=hr,
            reading=OutputFormat(layout, quantization),
        )
        if not verify_returned(request, report, signer_of(sign), as_json=as_json):
            raise typer.Exit(1)
        return
    if key is not None and path.suffix == ".json":
        show_signed_verdict(path, key, as_json=as_json)
        return
    require_signed_builds(path, key)
    from deploy.verify.explain import LAYER_PICTURES, VerifyOptions
    from deploy.verify.verdict import verify_tree

    backends = chosen_backends(backend)
    verifications = verify_tree(
        path,
        images=images,
        weights=weights,
        onnx_file=onnx_file,
        progress=make_progress(),
        options=VerifyOptions(backends, LAYER_PICTURES if layers else 0, latency=backends != ()),
    )
    passed = all(item.passed for item in verifications)
    if as_json:
        builds = [item.record() for item in verifications]
        print_json("esrdeploy.cli.verify/2", {"passed": passed, "builds": builds})
    else:
        for item in verifications:
            show_verification(item)
        if len(verifications) > 1:
            typer.echo(builds_line(verifications))
    if not passed:
        raise typer.Exit(1)


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
    print_table(f"{verification.model}: {verification.image_note}", columns, rows)
    if rows:
        typer.echo(
            "needs: what the lowest must reach to be acceptable; it cannot be told apart where it "
            f"reaches that and {UNSEEN_DB:g} dB"
        )
    for reason in verification.limit_reasons:
        typer.echo(reason)
    for line in (*verification.lowest, *verification.charts):
        typer.echo(line)
    for result in verification.parity:
        if result.reference in ORIGINAL_NAMES:
            shown = ", ".join(image.name for image in result.images)
            typer.echo(
                f"{result.candidate} and {result.against} were compared on {shown}: two float "
                "engines differ in rounding alone, and another picture gives other dB"
            )
    for check in verification.checks:
        if check.status != "passed":
            label = "FAIL" if check.status == "failed" else "skipped"
            typer.echo(f"{label}  {check.artifact}  {check.name}: {short_digests(check.detail)}")
    show_speed(verification)
    show_backends(verification)
    show_layers(verification, layers_elsewhere)
    typer.echo(f"{verification.counted}: {verdict_line(verification)}")
    for warning in verification.warnings:
        typer.echo(f"warning: {warning}")


def verdict_line(verification: "Verification") -> str:
    """Return the verdict in words, with what float was compared with and what was not asked."""
    if not verification.passed:
        return verification.banner
    original = verification.compared_with
    held = "" if original is None else f"; float compared with {original}"
    skipped = {check.name for check in verification.checks if check.status == "skipped"}
    left_out = [_NOT_ASKED.get(name, name) for name in sorted(skipped)]
    but = f"; but {', '.join(left_out)} (see above)" if left_out else ""
    unrun = ", ".join(verification.not_run_here)
    here = f"; not run here in the runtime it is made for: {unrun}" if unrun else ""
    return verification.banner + held + but + here


def builds_line(verifications: "Sequence[Verification]") -> str:
    """Return the verdict on several builds together, which the last one's alone would not be."""
    failed = [item.model for item in verifications if not item.passed]
    line = f"{len(verifications)} builds: {len(verifications) - len(failed)} verified"
    return f"{line}; VERIFICATION FAILED: {', '.join(failed)}" if failed else line


def chosen_backends(choices: list[BackendChoice] | None) -> tuple["BackendName", ...] | None:
    """Return the runtimes that ``--backend`` names; ``None`` leaves it to each file.

    Raises:
        UsageError: ``none`` stands beside a runtime.
    """
    from deploy.runtime.backends import BACKENDS

    if choices is None:
        return None
    if BackendChoice.NONE in choices and len(set(choices)) > 1:
        raise UsageError("found --backend none beside another; name runtimes, or none alone")
    return tuple(name for name in BACKENDS if BackendChoice(name) in choices)
