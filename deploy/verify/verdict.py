"""Verify every build under a folder: a verdict with all its reasons.

First the files are checked as far as that goes without running a network
(deploy/verify/contents.py), then what the models draw is compared with the float network's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from calib.dataset import PatchRef, PatchSet, folder_patches
from calib.errors import UsageError
from calib.sample import verification_pictures
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import find_builds, read_manifest
from deploy.artifacts.parity_record import ParityFile
from deploy.metrics.layer_sqnr import LayerError
from deploy.metrics.parity import ParityResult
from deploy.progress import Progress
from deploy.runtime.backends import require_backends
from deploy.runtime.cpu import this_machine
from deploy.runtime.outputs import Outputs
from deploy.verify.backend_error import BackendError
from deploy.verify.compare_models import against_record, compare_models
from deploy.verify.contents import CheckedBuild, check_contents
from deploy.verify.explain import VERDICT_ONLY, VerifyOptions, measure_backends, measure_layers
from deploy.verify.torch_reference import Original, check_float_network, find_original
from quant.fp16.range import Fp16Finding


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
        outputs: what the models drew of the first pictures.
    """

    model: str
    image_note: str
    images_digest: str
    checks: tuple[Check, ...]
    parity: tuple[ParityResult, ...] = ()
    fp16: tuple[Fp16Finding, ...] = ()
    backends: tuple[BackendError, ...] = ()
    layers: Mapping[str, tuple[LayerError, ...]] = field(default_factory=dict)
    outputs: Outputs = field(default_factory=Outputs, compare=False)

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
    options: VerifyOptions = VERDICT_ONLY,
) -> tuple[Verification, ...]:
    """Verify every build under ``path``.

    Args:
        path: a build's folder, or one above it.
        images: folder of pictures to compare on; ``None`` takes the embedded sample.
        weights: the checkpoint the builds were made from, where it did not come with the
            installation.
        progress: told what is going on.
        options: what to measure beyond the verdict.

    Raises:
        UsageError: ``path`` is no folder with a build, a backend asked for is not installed, or a
            build was calibrated on every picture.
        VerificationError: a manifest is broken.
    """
    require_backends(options.backends or ())
    folders = find_builds(path)
    patches = verification_pictures() if images is None else _user_patches(images)
    manifests = [read_manifest(folder / MANIFEST_NAME) for folder in folders]
    verifications = []
    for folder, manifest in zip(folders, manifests, strict=True):
        checked = check_contents(folder, manifest, progress).with_report()
        original = find_original(checked.build, weights)
        verifications.append(compare_build(checked, patches, original, progress, options))
    return tuple(verifications)


def _user_patches(images: Path) -> PatchSet:
    return folder_patches(images, mode="whole", count=None, seed=0)


def compare_build(
    checked: CheckedBuild,
    patches: PatchSet,
    original: Original,
    progress: Progress,
    options: VerifyOptions = VERDICT_ONLY,
) -> Verification:
    """Compare what the models of a checked build draw, and give the verdict on all of it.

    Args:
        checked: the build and what was asked of its files.
        patches: pictures to compare on; those that were calibrated on are left out.
        original: the network it was built from, if it is at hand, and how it was matched.
        progress: told what is going on.
        options: what to measure beyond the verdict.

    Returns:
        The verdict. A build that fails is a value, not an error. One whose records cannot be read
        is judged without running a network.

    Raises:
        UsageError: the build was calibrated on every picture.
    """
    build = checked.build
    held_out = _held_out(patches.patches, build)
    verification = Verification(
        build.manifest.model, _note(patches, held_out), _digest(patches, held_out), checked.checks
    )
    if build.float_model is None or checked.unreadable_records:
        reason = "the float model it rests on is not intact"
        if checked.unreadable_records:
            reason = f"no network is run while {checked.unreadable_records[0]} cannot be read"
        skipped = Check.skipped("parity", build.manifest.float_artifact.path, reason)
        return replace(verification, checks=(*checked.checks, skipped), fp16=checked.fp16)
    layers = measure_layers(checked, held_out[: options.layers], progress)
    compared = compare_models(build, held_out, progress, layers.outputs)
    checks = [*checked.checks, original.check, *compared.checks]
    parity = list(compared.parity)
    checks += against_record(build.manifest, verification.images_digest, parity)
    against_torch = check_float_network(build, original, compared.outputs, progress)
    if against_torch is not None:
        named, result = against_torch
        checks += named
        parity.insert(0, result)
    backends, refused = measure_backends(build, compared.outputs, options, progress)
    return replace(
        verification,
        checks=(*checks, *refused, *layers.checks),
        parity=tuple(parity),
        fp16=checked.fp16,
        backends=backends,
        layers=layers.errors,
        outputs=compared.outputs,
    )


def _held_out(patches: Sequence[PatchRef], build: Build) -> tuple[PatchRef, ...]:
    """Drop the pictures that the build was calibrated on: they would flatter it."""
    seen = build.calibrated_on
    held_out = tuple(patch for patch in patches if patch.sha256 not in seen)
    if not held_out:
        raise UsageError(
            f"{build.manifest.model} was calibrated on all {len(patches)} pictures it should be "
            "verified on; pass others with --images"
        )
    return held_out


def _digest(patches: PatchSet, held_out: tuple[PatchRef, ...]) -> str:
    return replace(patches, patches=held_out).digest


def _note(patches: PatchSet, held_out: Sequence[PatchRef]) -> str:
    source = "embedded sample" if patches.origin == "sample" else "folder"
    return f"{len(held_out)} held-out pictures, {source} {patches.digest[:12]}"
