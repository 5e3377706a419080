"""Run ``esrdeploy handoff``: pack a build for a chip vendor, or check such a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calib.errors import UsageError
from deploy.cli import completion
from deploy.cli.console import make_progress, print_json, print_table, say, short_digests
from deploy.cli.next_commands import after_handoff
from deploy.cli.options import AsJson, given
from deploy.cli.signing import Key, Sign, require_signed_bundle, signer_of
from deploy.cli.simulate import show_simulation, simulated
from deploy.cli.target_words import find_target, find_vendor_name

if TYPE_CHECKING:
    from deploy.handoff.check import BundleCheck
    from deploy.handoff.outcome import HandoffOutcome
    from deploy.simulate.outcome import Simulation


_OF_CHECK = {"check", "key", "as_json"}


def handoff(
    context: typer.Context,
    build: Annotated[Path, typer.Argument(help="Folder of one build.")] = Path("dist"),
    vendor: Annotated[
        list[str] | None,
        typer.Option(
            "--vendor",
            "--target",
            "-t",
            help="Who gets the bundle: vacc (or vastai), rknn (or rockchip), tensorrt (or nvidia), "
            "openvino (or intel), qnn (or qualcomm), ncnn or web (or browser); repeatable.",
            autocompletion=completion.vendors,
        ),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            "--profile",
            help="Target of an int8 model to put in, such as qnn-w8a16; repeatable. Default: "
            "those of the vendor's that the build has, else the vendor's first. What the build "
            "lacks is made from its calibration table.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The zip; default: MODEL-VENDOR-handoff.zip beside the build."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder to take the golden pictures from, instead of the embedded sample. They "
            "go into the bundle: choose only what may be passed on."
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="How many golden pictures; at least 8.")] = 8,
    include_images: Annotated[
        bool,
        typer.Option(
            "--include-images",
            help="Your calibration pictures may be passed on; name their folder with --calib.",
        ),
    ] = False,
    calib: Annotated[
        Path | None, typer.Option(help="The folder that the build was calibrated on.")
    ] = None,
    weights_licence: Annotated[
        str | None,
        typer.Option(
            "--weights-licence",
            metavar="TEXT",
            help="Licence of your own weights, for the bundle's LICENSES.md; without it that says "
            "'licence not known'.",
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Check this bundle instead of making one; exit 1 if it is damaged or computes "
            "something else, 2 if there is no bundle."
        ),
    ] = None,
    sbom: Annotated[
        bool, typer.Option("--sbom", help="Put in sbom.cdx.json, a bill of materials (CycloneDX).")
    ] = False,
    provenance: Annotated[
        bool,
        typer.Option(
            "--provenance",
            help="Put in provenance.intoto.json: what every file was made from (in-toto, SLSA).",
        ),
    ] = False,
    simulate: Annotated[
        list[str] | None,
        typer.Option(
            help="Run the bundle in this toolchain too, as 'esrdeploy simulate' does; repeatable.",
            autocompletion=completion.toolchains,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Install what --simulate needs without asking.")
    ] = False,
    sign: Sign = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle that a chip vendor can use, or check one."""
    if check is not None:
        for name, option in given(context).items():
            if name not in _OF_CHECK:
                found = option.opts[0] if option.opts[0].startswith("-") else build
                raise UsageError(f"found {found} beside --check BUNDLE: it is for making a bundle")
        _check(check, key, as_json=as_json)
        return
    from deploy.handoff.make import HandoffRequest, make_handoff
    from deploy.handoff.vendors import vendors
    from deploy.simulate.plan import SimulationRequest
    from deploy.simulate.toolchains import find_toolchain

    if key is not None:
        raise UsageError("found --key without --check; --sign signs a bundle that is made")
    toolchains = [find_toolchain(name).name for name in simulate or ()]
    if not vendor:
        raise UsageError(f"say whom the bundle is for with --vendor: {', '.join(vendors())}")
    request = HandoffRequest(
        build=build,
        vendors=tuple(map(find_vendor_name, vendor)),
        out=out,
        images=images,
        count=count,
        calib=calib,
        include_images=include_images,
        profiles=tuple(find_target(name, "--profile").name for name in profile or ()),
        weights_licence=weights_licence,
        signer=signer_of(sign),
        sbom=sbom,
        provenance=provenance,
    )
    outcome = make_handoff(request, make_progress())
    names = [item.name for item in outcome.manifest.vendors]
    gives_pictures = outcome.manifest.network.output == "picture"
    following = after_handoff(
        outcome.path,
        names,
        judged=gives_pictures,
        scaled_by_us=[
            item.name
            for item in outcome.manifest.vendors
            if item.quantizes_itself and vendors()[item.name].profiles
        ],
    )
    if not as_json:
        _show_outcome(outcome)
    requests = [SimulationRequest(outcome.path, name) for name in toolchains]
    simulations = [simulated(one, yes=yes) for one in requests]
    if as_json:
        records = [one.record() for one in simulations]
        content = {**outcome.record(), "next": following, "simulations": records}
        print_json("esrdeploy.cli.handoff/2", content)
    else:
        _show_more(simulations, following)
    if not all(one.passed for one in simulations):
        raise typer.Exit(1)


def _check(bundle: Path, key: Path | None, *, as_json: bool) -> None:
    from deploy.handoff.check import check_bundle

    require_signed_bundle(bundle, key)
    verdict = check_bundle(bundle, make_progress())
    if as_json:
        print_json("esrdeploy.cli.handoff-check/2", verdict.record())
    else:
        _show_check(verdict)
    if not verdict.passed:
        raise typer.Exit(1)


def _show_outcome(outcome: "HandoffOutcome") -> None:
    manifest = outcome.manifest
    rows = [
        [part, str(files), f"{size_bytes / 1e6:.2f}"]
        for part, (files, size_bytes) in outcome.contents.items()
    ]
    print_table(f"{manifest.model} handoff", ["in the bundle", "files", "MB"], rows)
    say(f"golden vectors: {', '.join(vector.source for vector in manifest.golden)}")
    say(outcome.golden_text)
    for line in (f"warning: {text}" for text in outcome.below_limit_texts):
        say(line)
    for line in filter(None, (outcome.pictures_text, outcome.licence_text)):
        say(line)
    for proof in outcome.proofs:
        say(f"{proof.engine}: {proof.text}")
    typer.echo(f"{outcome.path.stat().st_size / 1e6:9.2f} MB  {outcome.path}")
    typer.echo(f"sha256 {outcome.sha256}")


def _show_more(simulations: "list[Simulation]", following: list[str]) -> None:
    for one in simulations:
        show_simulation(one)
    for line in following:
        typer.echo(f"next: {line}")


def _show_check(verdict: "BundleCheck") -> None:
    """Print the result, then what failed, what was skipped and what passed other than files."""
    counted = [check.status for check in verdict.checks]
    say(
        f"{'a good bundle' if verdict.passed else 'NOT A GOOD BUNDLE'}: {verdict.model} for "
        f"{', '.join(verdict.vendors)}; {counted.count('passed')} checks passed, "
        f"{counted.count('failed')} failed, {counted.count('skipped')} skipped"
    )
    for status, label in (("failed", "FAIL"), ("skipped", "skipped"), ("passed", "pass")):
        for check in verdict.checks:
            if check.status == status and (status != "passed" or check.name != "file"):
                detail = short_digests(check.detail)
                say(f"{label}  {check.artifact}  {check.name}: {detail}")
