"""A folder of builds in, a verdict with all its reasons out.

The order is the order of trust: first that every file is the one the manifest names, then that
each model is well formed, then that it follows from what it claims to be made of, and last that
it draws the same picture as the float network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from calib.dataset import PatchRef, PatchSet, folder_patches
from calib.errors import VerificationError
from calib.sample import verification_pictures
from deploy.artifacts.build_folder import Build, check_files, load_build
from deploy.artifacts.check import Check
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import Manifest, find_builds, read_manifest
from deploy.artifacts.parity_record import ParityFigures, ParityFile
from deploy.metrics.layer_sqnr import LayerError
from deploy.metrics.parity import Observer, ParityResult, unobserved
from deploy.progress import Progress
from deploy.runtime.backends import require_backends
from deploy.runtime.cpu import this_machine
from deploy.verify.backend_error import BackendError
from deploy.verify.compare_models import against_record, compare_models
from deploy.verify.explain import VERDICT_ONLY, VerifyOptions, measure_backends, measure_layers
from deploy.verify.ranges import check_fp16_range, check_ranges
from deploy.verify.reproduce import check_derivation
from deploy.verify.structure import check_report, check_structure, check_table, check_target_rules
from deploy.verify.torch_reference import check_float_network
from quant.fp16.range import Fp16Finding


@dataclass(frozen=True)
class CheckedBuild:
    """A build's files, and every check of them that runs no network.

    Attributes:
        build: the intact files, without the models that are not well formed: what was asked of
            them was asked, and none of them can be run.
        checks: what was asked.
        fp16: how every value of the fp16 model fits fp16.
    """

    build: Build
    checks: tuple[Check, ...]
    fp16: tuple[Fp16Finding, ...]


@dataclass(frozen=True)
class Verification:
    """What was checked of one build, and what came out.

    Attributes:
        model: name in the model table.
        image_note: which pictures the parity figures come from, for a reader.
        images_digest: digest of that set of pictures.
        checks: every check that was made or skipped, with its reason.
        parity: one result per judged model.
        fp16: how every value of the fp16 model fits fp16.
        backends: what runtimes on this machine make of the files, where that was asked for.
        layers: error of every tensor by int8 file, where that was asked for.
    """

    model: str
    image_note: str
    images_digest: str
    checks: tuple[Check, ...]
    parity: tuple[ParityResult, ...]
    fp16: tuple[Fp16Finding, ...] = ()
    backends: tuple[BackendError, ...] = ()
    layers: Mapping[str, tuple[LayerError, ...]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing failed."""
        return (
            bool(self.parity)
            and all(result.passed for result in self.parity)
            and not any(check.status == "failed" for check in self.checks)
        )

    def parity_record(self) -> ParityFile:
        """Return the content of ``parity.json``: every figure of every picture."""
        records = {result.candidate: result.record() for result in self.parity}
        return ParityFile(self.images_digest, records)

    def parity_summary(self) -> ParityFigures:
        """Return what the manifest says of parity: the overall figures."""
        summaries = {result.candidate: result.summary() for result in self.parity}
        return ParityFigures(self.images_digest, summaries)

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "model": self.model,
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "parity": asdict(self.parity_record()),
            "fp16": [finding.record() for finding in self.fp16],
            "machine": this_machine().record() if self.backends else None,
            "backends": [item.record() for item in self.backends],
            "layers": {
                name: [error.record() for error in errors] for name, errors in self.layers.items()
            },
        }


def verify_tree(
    path: Path,
    *,
    images: Path | None,
    weights: Path | None,
    progress: Progress,
    scope: VerifyOptions = VERDICT_ONLY,
) -> tuple[Verification, ...]:
    """Verify every build under ``path``.

    Args:
        path: a build's folder, or one above it.
        images: folder of pictures to compare on; ``None`` takes the embedded sample.
        weights: the checkpoint the builds were made from, where it did not come with the
            installation.
        progress: told what is going on.
        scope: what to measure beyond the verdict.

    Raises:
        UsageError: ``path`` is no folder, or a backend asked for is not installed.
        VerificationError: there is no build under ``path``, or a manifest is broken.
    """
    require_backends(scope.backends or ())
    folders = find_builds(path)
    patches = verification_pictures() if images is None else _user_patches(images)
    return tuple(
        verify_build(
            folder,
            read_manifest(folder / MANIFEST_NAME),
            patches,
            weights=weights,
            progress=progress,
            scope=scope,
        )
        for folder in folders
    )


def _user_patches(images: Path) -> PatchSet:
    return folder_patches(images, mode="whole", count=None, seed=0)


def verify_build(  # noqa: PLR0913  # one has a default
    folder: Path,
    manifest: Manifest,
    patches: PatchSet,
    *,
    weights: Path | None,
    progress: Progress,
    scope: VerifyOptions = VERDICT_ONLY,
) -> Verification:
    """Verify one build against its manifest: its files first, then what they draw."""
    contents = check_contents(folder, manifest, progress)
    contents = replace(contents, checks=(*contents.checks, *check_report(folder)))
    return compare_contents(contents, patches, weights=weights, progress=progress, scope=scope)


def compare_contents(  # noqa: PLR0913  # two have defaults
    contents: CheckedBuild,
    patches: PatchSet,
    *,
    weights: Path | None,
    progress: Progress,
    scope: VerifyOptions = VERDICT_ONLY,
    observe: Observer = unobserved,
) -> Verification:
    """Compare what the models of a checked build draw, and give the verdict on all of it.

    Args:
        contents: the build and what was asked of its files.
        patches: pictures to compare on; those that were calibrated on are left out.
        weights: the checkpoint it was built from; ``None`` takes the one that comes with the
            installation.
        progress: told what is going on.
        scope: what to measure beyond the verdict.
        observe: shown every picture of every compared model as it is drawn.

    Returns:
        The verdict. A build that fails is a value, not an error.
    """
    build, checks, fp16 = contents.build, list(contents.checks), contents.fp16
    manifest = build.manifest
    held_out = _held_out(patches.patches, build)
    verdict = partial(
        Verification, manifest.model, _note(patches, held_out), _digest(patches, held_out)
    )
    if build.float_model is None:
        reason = "the float model it rests on is not intact"
        skipped = Check.skipped("parity", manifest.float_artifact.path, reason)
        return verdict((*checks, skipped), (), fp16)
    float_checks, float_parity = check_float_network(build, held_out, weights, progress)
    compared = compare_models(build, held_out, progress, observe)
    parity = (*float_parity, *compared.parity)
    checks += [*float_checks, *compared.checks]
    checks += against_record(manifest, _digest(patches, held_out), parity)
    backends, refused = measure_backends(build, compared.drawn, scope, progress)
    layers, incomparable = measure_layers(build, held_out, scope, progress)
    return verdict((*checks, *refused, *incomparable), parity, fp16, backends, layers)


def check_contents(folder: Path, manifest: Manifest, progress: Progress) -> CheckedBuild:
    """Make every check of a build that runs no network."""
    with progress.stage(f"{manifest.model}: checking files", 1) as advance:
        checks = list(check_files(folder, manifest))
        intact = {check.artifact for check in checks if check.status == "passed"}
        build, unreadable = load_build(folder, manifest, intact)
        checks += unreadable
        structure = list(check_structure(build))
        checks += structure
        checks += check_target_rules(build)
        checks += check_table(build)
        checks += check_derivation(build)
        checks += check_ranges(build)
        fp16_checks, fp16 = check_fp16_range(build)
        checks += fp16_checks
        advance()
    unsound = {c.artifact for c in structure if c.name == "structure" and c.status == "failed"}
    sound = {name: model for name, model in build.models.items() if name not in unsound}
    return CheckedBuild(replace(build, models=sound), tuple(checks), fp16)


def _held_out(patches: Sequence[PatchRef], build: Build) -> tuple[PatchRef, ...]:
    """Drop the pictures that the build was calibrated on: they would flatter it."""
    seen = build.calibrated_on
    held_out = tuple(patch for patch in patches if patch.sha256 not in seen)
    if not held_out:
        raise VerificationError(
            f"{build.manifest.model} was calibrated on all {len(patches)} pictures it should be "
            "verified on; pass others with --images"
        )
    return held_out


def _digest(patches: PatchSet, held_out: tuple[PatchRef, ...]) -> str:
    return replace(patches, patches=held_out).digest


def _note(patches: PatchSet, held_out: Sequence[PatchRef]) -> str:
    source = "embedded sample" if patches.origin == "sample" else "folder"
    return f"{len(held_out)} held-out pictures, {source} {patches.digest[:12]}"
