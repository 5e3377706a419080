"""Run ``esrdeploy verify``: check every build in a folder and print a verdict per file."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calib.errors import UsageError
from deploy.cli.console import make_progress, print_json, say
from deploy.cli.options import AsJson, PrecisionChoice, given, lowest
from deploy.cli.signing import (
    Key,
    Sign,
    require_signed_builds,
    require_signed_bundle,
    show_signed_verdict,
    signer_of,
)
from deploy.cli.verdicts import builds_line, show_verification

if TYPE_CHECKING:
    from deploy.runtime.backends import BackendName

_RETURNED = "Results of a vendor"
_OF_BOTH = {"path", "sign", "key", "as_json"}


class BackendChoice(str, Enum):
    """What ``--backend`` takes: each of :data:`deploy.runtime.backends.BACKENDS`, or none."""

    ORT = "ort"
    OPENVINO = "openvino"
    NONE = "none"


def verify(
    context: typer.Context,
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
    scales: Annotated[
        Literal["ours", "own"] | None,
        typer.Option(
            help="Whose scales their int8 model has: ours, of the bundle's files, is held against "
            "our int8; own, of a tool that quantized a float file, against a floor.",
            show_default="as the vendor's tools do",
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
            help="Page to write, NAME.html, with the record beside it as NAME.json, in place of an "
            "earlier verdict on the same return.",
            show_default="MODEL-VENDOR-FOLDER-verdict.html in the current folder",
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
    _require_of_mode(context, judges_return=returned is not None)
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
            scales=scales,
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
            say(builds_line(verifications))
    if not passed:
        raise typer.Exit(1)


def _require_of_mode(context: typer.Context, *, judges_return: bool) -> None:
    """Refuse options that would not be looked at: of a return without one, of a build beside one.

    Raises:
        UsageError: one was given.
    """
    for name, option in given(context).items():
        of_return = option.rich_help_panel == _RETURNED
        if of_return and not judges_return:
            raise UsageError(
                f"found {option.opts[0]} without --returned: it is for a vendor's results"
            )
        if judges_return and not of_return and name not in _OF_BOTH:
            raise UsageError(f"found {option.opts[0]} beside --returned: it is for builds")


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
