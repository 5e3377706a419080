"""A folder of builds in, a verdict with all its reasons out.

The order is the order of trust: first that every file is the one the manifest names, then that
each model is well formed, then that it follows from what it claims to be made of, and last that
it draws the same picture as the float network.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from calib.dataset import PatchRef, PatchSet, folder_patches
from calib.errors import VerificationError
from calib.sample import sample_patches
from deploy.artifacts import MANIFEST_NAME
from deploy.checks import (
    Build,
    Check,
    check_files,
    check_report,
    check_structure,
    check_table,
    load_build,
)
from deploy.derivation import check_derivation
from deploy.float_reference import check_float_network
from deploy.manifest import Manifest, find_builds, read_manifest
from deploy.parity import THRESHOLDS, ParityResult, Runner, measure
from deploy.progress import Progress
from deploy.running import Watch, model_runner, unwatched

PICTURES = 6
"""How many embedded pictures a build is compared on: each costs an inference of every model."""


@dataclass(frozen=True)
class Verification:
    """What was checked of one build, and what came out.

    Attributes:
        model: name in the model table.
        image_note: which pictures the parity figures come from, for a reader.
        images_digest: digest of that set of pictures.
        checks: every check that was made or skipped, with its reason.
        parity: one result per judged model.
    """

    model: str
    image_note: str
    images_digest: str
    checks: tuple[Check, ...]
    parity: tuple[ParityResult, ...]

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing failed."""
        return (
            bool(self.parity)
            and all(result.passed for result in self.parity)
            and not any(check.status == "failed" for check in self.checks)
        )

    def parity_record(self) -> dict[str, Any]:
        """Return the content of ``parity.json``: every figure of every picture."""
        return {
            "images_digest": self.images_digest,
            "artifacts": {result.candidate: result.record() for result in self.parity},
        }

    def parity_summary(self) -> dict[str, Any]:
        """Return what the manifest says of parity: the overall figures."""
        return {
            "images_digest": self.images_digest,
            "artifacts": {result.candidate: result.summary() for result in self.parity},
        }

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "model": self.model,
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "parity": self.parity_record(),
        }


def verify_tree(
    path: Path, *, images: Path | None, weights: Path | None, progress: Progress
) -> tuple[Verification, ...]:
    """Verify every build under ``path``.

    Args:
        path: a build's folder, or one above it.
        images: folder of pictures to compare on; ``None`` takes the embedded sample.
        weights: the checkpoint the builds were made from, where it did not come with the
            installation.
        progress: told what is going on.

    Raises:
        UsageError: ``path`` is no folder.
        VerificationError: there is no build under ``path``, or a manifest is broken.
    """
    folders = find_builds(path)
    patches = verification_pictures() if images is None else _user_patches(images)
    return tuple(
        verify_build(
            folder,
            read_manifest(folder / MANIFEST_NAME),
            patches,
            weights=weights,
            progress=progress,
        )
        for folder in folders
    )


def verification_pictures() -> PatchSet:
    """Return the embedded photographs that builds are compared on; none is calibrated on."""
    return sample_patches("verification", PICTURES)


def _user_patches(images: Path) -> PatchSet:
    return folder_patches(images, mode="whole", count=None, seed=0)


def verify_build(  # noqa: PLR0913  # the last one has a default
    folder: Path,
    manifest: Manifest,
    patches: PatchSet,
    *,
    weights: Path | None,
    progress: Progress,
    watch: Watch = unwatched,
) -> Verification:
    """Verify one build against its manifest.

    Args:
        folder: where the artifacts lie.
        manifest: what they claim to be.
        patches: pictures to compare on; those that were calibrated on are left out.
        weights: the checkpoint it was built from; ``None`` takes the one that comes with the
            installation.
        progress: told what is going on.
        watch: sees what the compared files draw.

    Returns:
        The verdict. A build that fails is a value, not an error.
    """
    with progress.stage(f"{manifest.model}: checking files", 1) as advance:
        checks = list(check_files(folder, manifest))
        intact = {check.artifact for check in checks if check.status == "passed"}
        build, unreadable = load_build(folder, manifest, intact)
        checks += unreadable
        checks += check_structure(build)
        checks += check_table(build)
        checks += check_derivation(build)
        checks += check_report(folder)
        advance()
    held_out = _held_out(patches.patches, build)
    verdict = partial(
        Verification, manifest.model, _note(patches, held_out), _digest(patches, held_out)
    )
    if build.float_model is None:
        reason = "the float model it rests on is not intact"
        skipped = Check.skipped("parity", manifest.float_artifact.path, reason)
        return verdict((*checks, skipped), ())
    float_check, float_parity = check_float_network(build, held_out, weights, progress)
    checks.append(float_check)
    parity = (*float_parity, *_quantization_parity(build, held_out, progress, watch))
    checks += _against_record(manifest, _digest(patches, held_out), parity)
    return verdict(tuple(checks), parity)


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


def _quantization_parity(
    build: Build, patches: Sequence[PatchRef], progress: Progress, watch: Watch
) -> tuple[ParityResult, ...]:
    """Compare each fp16 and int8 file with the float file, in the meaning of the file."""
    reference = build.manifest.float_artifact
    candidates: dict[str, Runner] = {
        item.path: watch(item.path, model_runner(build.models[item.path], optimized=False))
        for item in build.manifest.models()
        if item.precision != "fp32" and item.path in build.models
    }
    if not candidates:
        return ()
    title = f"{build.manifest.model}: comparing {', '.join(candidates)}"
    float_runner = watch(reference.path, model_runner(build.models[reference.path], optimized=True))
    with progress.stage(title, len(patches)) as advance:
        measured = measure(float_runner, candidates, patches, advance)
    results = []
    for item in build.manifest.models():
        if item.path in measured and item.precision is not None:
            threshold = THRESHOLDS[item.precision]
            results.append(ParityResult(item.path, reference.path, threshold, measured[item.path]))
    return tuple(results)


RECORD_TOLERANCE_DB = 0.5
"""How far parity may lie from the manifest's: another CPU sums in another order, which moves a
rounding here and there; a changed file moves it by more."""


def _against_record(
    manifest: Manifest, images_digest: str, parity: Sequence[ParityResult]
) -> list[Check]:
    """Compare the figures with those the manifest recorded on the same pictures."""
    if manifest.parity.get("images_digest") != images_digest:
        return []
    checks = []
    for result in parity:
        if result.threshold == THRESHOLDS["fp32"]:
            continue  # two float engines differ by noise alone; the threshold says enough
        recorded = manifest.parity.get("artifacts", {}).get(result.candidate)
        found_db = result.summary()["psnr_db_mean"]
        agrees = (
            recorded is not None and abs(recorded["psnr_db_mean"] - found_db) <= RECORD_TOLERANCE_DB
        )
        recorded_db = None if recorded is None else recorded["psnr_db_mean"]
        checks.append(
            Check.of(
                agrees,
                "recorded parity",
                result.candidate,
                f"measured {found_db:.2f} dB, the manifest records {recorded_db} dB",
            )
        )
    return checks
