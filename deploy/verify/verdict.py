"""Verify every build under a folder: a verdict with all its reasons.

First the files are checked as far as that goes without running a network
(deploy/verify/contents.py), then what the models draw is compared with the float network's.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from calib.dataset import PatchRef
from calib.images import to_input
from deploy.artifacts.build_folder import Build
from deploy.artifacts.build_warnings import build_warnings
from deploy.artifacts.check import Check
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.find_build import find_builds
from deploy.artifacts.manifest import read_manifest
from deploy.progress import Progress
from deploy.runtime.backends import require_backends
from deploy.runtime.outputs import Drawn
from deploy.verify.backend_error import BackendError
from deploy.verify.backends_of_file import runtime_of
from deploy.verify.chart import measure_chart
from deploy.verify.compare_models import against_record, compare_models, recorded_elsewhere
from deploy.verify.contents import CheckedBuild, check_folder, open_build
from deploy.verify.drawing_ahead import DrawingAhead
from deploy.verify.explain import VERDICT_ONLY, VerifyOptions, measure_backends, measure_layers
from deploy.verify.judges import Judges, judges_of
from deploy.verify.latency import Latency, measure_latencies
from deploy.verify.original import Original, check_float_network, find_original
from deploy.verify.verification import Verification


def verify_tree(  # noqa: PLR0913  # two of them have defaults
    path: Path,
    *,
    images: Path | None,
    weights: Path | None,
    onnx_file: Path | None = None,
    progress: Progress,
    options: VerifyOptions = VERDICT_ONLY,
) -> tuple[Verification, ...]:
    """Verify every build under ``path``.

    Args:
        path: a build's folder, or one above it.
        images: folder of pictures to compare on; those that a build was verified on, where it
            holds them. ``None`` takes the embedded sample.
        weights: the checkpoint the builds were made from, where it did not come with the
            installation.
        onnx_file: the ONNX file that builds were made from.
        progress: told what is going on.
        options: what to measure beyond the verdict.

    Raises:
        UsageError: ``path`` is no folder with a build, a backend asked for is not installed, or a
            build was calibrated on every picture.
        VerificationError: a manifest is broken.
    """
    require_backends(options.backends or ())
    folders = find_builds(path)
    manifests = [read_manifest(folder / MANIFEST_NAME) for folder in folders]
    verifications = []
    for folder, manifest in zip(folders, manifests, strict=True):
        opened = open_build(folder, manifest)
        judges = judges_of(manifest, images).unseen_by(opened.build)
        int8 = any(item.precision == "int8" for item in manifest.models())
        pictures = judges.patches.patches
        with DrawingAhead(pictures, manifest.network.tile, chart=int8) as ahead:
            if not opened.unusable:
                ahead.draw_with_all(opened.build)
            checked = check_folder(opened, progress).with_report()
            original = find_original(checked.build, weights, onnx_file)
            verified = compare_build(checked, judges, original, progress, options, ahead)
        verifications.append(
            replace(verified, warnings=build_warnings(manifest, checked.build.table))
        )
    return tuple(verifications)


def compare_build(  # noqa: PLR0913, PLR0917  # two of them have defaults
    checked: CheckedBuild,
    judges: Judges,
    original: Original,
    progress: Progress,
    options: VerifyOptions = VERDICT_ONLY,
    ahead: DrawingAhead | None = None,
) -> Verification:
    """Compare what the models of a checked build draw, and give the verdict on all of it.

    Args:
        checked: the build and what was asked of its files.
        judges: pictures to compare on; those that were calibrated on are left out.
        original: the network it was built from, if it is at hand, and how it was matched.
        progress: told what is going on.
        options: what to measure beyond the verdict.
        ahead: draws with the models meanwhile; stopped before time is measured.

    Returns:
        The verdict. A build that fails is a value, not an error. One with a file that is not
        the manifest's, cannot be read or is malformed is judged without running a network.

    Raises:
        UsageError: the build was calibrated on every picture.
    """
    build = checked.build
    judges = judges.unseen_by(build)
    held_out = judges.patches.patches
    own = build.table is not None and build.table.images.origin == "folder"
    verification = Verification(build.manifest.model, judges, checked.checks, own_calibration=own)
    if build.float_model is None or checked.unusable:
        reason = "the float model it rests on is not intact"
        if checked.unusable:
            reason = f"no network is run while {checked.unusable[0]} cannot be used"
        skipped = Check.skipped("parity", build.manifest.float_artifact.path, reason)
        return replace(verification, checks=(*checked.checks, skipped), fp16=checked.fp16)
    layers = measure_layers(checked, held_out[: options.layers], progress)
    drawn_ahead = {} if ahead is None else ahead.outputs()
    latencies, timed = _timed(build, held_out[0], progress, options)
    known = {**drawn_ahead, **layers.outputs.drawn(), **timed}
    compared = compare_models(build, held_out, progress, known)
    checks = [*checked.checks, original.check, *compared.checks]
    parity = list(compared.parity)
    checks += against_record(build.manifest, judges.patches.digest, parity)
    against_original = check_float_network(build, original, compared.outputs, progress)
    if against_original is not None:
        named, result = against_original
        checks += named
        parity.insert(0, result)
    charts = measure_chart(build, progress, known)
    backends, refused, not_run = measure_backends(build, compared.outputs, options, progress)
    if recorded_elsewhere(build.manifest, judges.patches.digest):
        verification = replace(
            verification,
            recorded=build.manifest.parity.artifacts,
            recorded_on=build.manifest.verified_on,
        )
    return replace(
        verification,
        checks=(*checks, *refused, *layers.checks),
        parity=tuple(parity),
        fp16=checked.fp16,
        backends=backends,
        not_run=not_run,
        latencies=latencies,
        shares=build.shares,
        layers=layers.errors,
        layer_images=layers.outputs.images if layers.errors else (),
        outputs=compared.outputs,
        int8=build.int8_shares,
        batch=build.manifest.network.tile.batch,
        charts=charts,
        not_run_here=_not_run_here(build, latencies, backends),
    )


def _not_run_here(
    build: Build, latencies: Sequence[Latency], backends: Sequence[BackendError]
) -> tuple[str, ...]:
    """Return the int8 files that were not run in the runtime they are made for."""
    timed = {item.artifact for item in latencies if item.runs}
    run = {(item.artifact, item.backend) for item in backends}
    return tuple(
        item.path
        for item in build.manifest.models()
        if item.precision == "int8"
        and item.path not in timed
        and (item.path, runtime_of(item)) not in run
    )


def _timed(
    build: Build, patch: PatchRef, progress: Progress, options: VerifyOptions
) -> tuple[tuple[Latency, ...], Drawn]:
    """Time the files on a picture, where that is asked for; what the float file drew of it too."""
    if not options.latency:
        return (), {}
    picture = to_input(patch.load(), build.manifest.network.tile.channels)
    latencies, drawn = measure_latencies(build, picture, progress)
    reference = build.manifest.float_artifact.path
    return latencies, {} if drawn is None else {(reference, patch.name): drawn}
