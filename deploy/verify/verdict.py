"""Verify every build under a folder: a verdict with all its reasons.

First the files are checked as far as that goes without running a network
(deploy/verify/contents.py), then what the models draw is compared with the float network's.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from calib.dataset import PatchRef
from calib.images import to_input
from calib.images_record import is_tile
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import find_builds, read_manifest
from deploy.artifacts.parity_record import ParityFile
from deploy.artifacts.picture_warnings import picture_warnings
from deploy.metrics.layer_sqnr import LayerError
from deploy.metrics.parity import UNSEEN_DB, Level, ParityResult, at_least, lowest_level
from deploy.progress import Progress
from deploy.runtime.backends import require_backends
from deploy.runtime.cpu import this_machine
from deploy.runtime.outputs import Drawn, Outputs
from deploy.verify.backend_error import BackendError
from deploy.verify.compare_models import against_record, compare_models
from deploy.verify.contents import CheckedBuild, check_folder, open_build
from deploy.verify.drawing_ahead import DrawingAhead
from deploy.verify.explain import VERDICT_ONLY, VerifyOptions, measure_backends, measure_layers
from deploy.verify.judges import Judges, judges_of
from deploy.verify.latency import Latency, measure_latencies
from deploy.verify.original import (
    ORIGINAL_NAMES,
    Original,
    check_float_network,
    find_original,
)
from quant.fp16.range import Fp16Finding
from quant.qdq.int8_share import Int8Share


@dataclass(frozen=True)
class Verification:
    """What was checked of one build, and what came out.

    Attributes:
        model: name in the model table.
        judges: the pictures that the parity figures come from.
        checks: every check that was made or skipped, with its reason.
        parity: one result per judged model.
        fp16: how every value of the fp16 model fits fp16.
        backends: what runtimes on this machine make of the files, where that was asked for.
        not_run: why a file was run in no backend, by file, where one was asked for.
        latencies: how long files take for an inference here, where that was asked for.
        shares: how many convolutions of each int8 file compute in integers.
        layers: error of every tensor by int8 file, where that was asked for.
        layer_images: names of the pictures that those errors are of.
        outputs: what the models drew of the first pictures.
        int8: by int8 file, how much of it is in integers, and its size.
        batch: how many pictures one inference takes.
        warnings: what the pictures that a finished build was made on cost it, one line each.
    """

    model: str
    judges: Judges
    checks: tuple[Check, ...]
    parity: tuple[ParityResult, ...] = ()
    fp16: tuple[Fp16Finding, ...] = ()
    backends: tuple[BackendError, ...] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    latencies: tuple[Latency, ...] = field(default=(), compare=False)
    shares: Mapping[str, Int8Share] = field(default_factory=dict)
    layers: Mapping[str, tuple[LayerError, ...]] = field(default_factory=dict)
    layer_images: tuple[str, ...] = ()
    outputs: Outputs = field(default_factory=Outputs, compare=False)
    int8: Mapping[str, str] = field(default_factory=dict)
    batch: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def image_note(self) -> str:
        """Which pictures the parity figures come from, for a reader."""
        return str(self.judges.record())

    @property
    def lowest(self) -> tuple[str, ...]:
        """Where the file of lowest parity has it, in one line; nothing of the sample's pictures."""
        judged = [item for item in self.parity if item.against == "float"]
        if self.judges.choice == "sample" or not judged:
            return ()
        result = min(judged, key=lambda item: item.summary().psnr_db_min)
        image = min(result.images, key=lambda item: item.psnr_db)
        part = "a tile at its own size" if is_tile(image.name) else "resized"
        return (f"lowest: {image.psnr_db:.2f} dB, {result.candidate} on {image.name} ({part})",)

    @property
    def not_asked(self) -> tuple[str, ...]:
        """What could not be asked, one line each: the verdict says nothing of that."""
        return tuple(
            f"{check.artifact}, {check.name}: {check.detail}"
            for check in self.checks
            if check.status == "skipped"
        )

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing failed."""
        return (
            bool(self.parity)
            and all(result.passed for result in self.parity)
            and not any(check.status == "failed" for check in self.checks)
        )

    @property
    def compared_with(self) -> str | None:
        """The original that the float model was compared with, in words; ``None``: with none."""
        references = (result.reference for result in self.parity)
        return next((ORIGINAL_NAMES[name] for name in references if name in ORIGINAL_NAMES), None)

    @property
    def level(self) -> Level:
        """The level that every model reaches; the lowest where something failed."""
        if not self.passed:
            return "not acceptable"
        return lowest_level(result.summary() for result in self.parity)

    @property
    def banner(self) -> str:
        """The verdict in one line, which claims the level that was reached and no more."""
        if not self.passed:
            return "VERIFICATION FAILED"
        reached = at_least(result.summary() for result in self.parity)
        if self.level == "cannot be told apart":
            return (
                f"verified, cannot be told from float: at least {reached} dB on each of the "
                f"pictures compared ({self.judges.record().counted})"
            )
        return (
            f"verified, acceptable: at least {reached} dB on each of the pictures compared "
            f"({self.judges.record().counted}); from "
            f"{UNSEEN_DB:g} dB on it could not be told from float"
        )

    def parity_record(self) -> ParityFile:
        """Return the content of ``parity.json``: every figure of every picture."""
        records = {result.candidate: result.record() for result in self.parity}
        return ParityFile(self.judges.patches.digest, records)

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "model": self.model,
            "passed": self.passed,
            "level": self.level,
            "pictures": asdict(self.judges.record()),
            "pictures_note": self.judges.record().counted,
            "not_asked": list(self.not_asked),
            "warnings": list(self.warnings),
            "int8": dict(self.int8),
            "checks": [check.record() for check in self.checks],
            "files": [result.shown() for result in self.parity],
            "fp16": [finding.record() for finding in self.fp16],
            "machine": this_machine().record() if self.backends or self.latencies else None,
            "backends": [item.record() for item in self.backends],
            "not_run": dict(self.not_run),
            "pictures_at_once": self.batch,
            "speed": [item.record() for item in self.latencies],
            "convolutions_in_int8": {
                name: {"int8": len(share.integer), "count": len(share.convolutions)}
                for name, share in self.shares.items()
            },
            "layer_pictures": list(self.layer_images),
            "layers": {
                name: [error.record() for error in errors] for name, errors in self.layers.items()
            },
        }


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
        with DrawingAhead(judges.patches.patches, manifest.network.tile) as ahead:
            if not opened.unusable:
                ahead.draw_with_all(opened.build)
            checked = check_folder(opened, progress).with_report()
            original = find_original(checked.build, weights, onnx_file)
            verified = compare_build(checked, judges, original, progress, options, ahead)
        verifications.append(replace(verified, warnings=picture_warnings(manifest)))
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
    verification = Verification(build.manifest.model, judges, checked.checks)
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
    backends, refused, not_run = measure_backends(build, compared.outputs, options, progress)
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
