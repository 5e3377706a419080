"""Run fp16 and int8 models beside float: parity per picture, outputs, diagnosis of each failure.

Running and comparing are apart. Models run on a few pictures at a time, so that any number of them
fits into memory; the comparison sees what was drawn
(:class:`deploy.runtime.outputs.Outputs`). What the first pictures came out as is kept: backends
are held against it, and the report shows it.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType

from calib.dataset import PatchRef
from calib.errors import EsrdeployError
from calib.output_kind import OutputKind
from calib.runtime import shares
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import PARITY_NAME, Artifact
from deploy.artifacts.judged_runner import judged_runner
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.parity_record import Threshold
from deploy.diagnosis.pictures import diagnose
from deploy.metrics.parity import ImageParity, ParityResult, at_least, compare
from deploy.metrics.thresholds import threshold_of
from deploy.progress import Progress
from deploy.runtime.outputs import MOST_WORKERS, Drawn, Outputs, held_at_once, run_models
from deploy.runtime.runner import Runner

Runners = dict[str, Runner]

RECORD_TOLERANCE_DB = 0.5
"""How far parity may lie from the manifest's: another CPU sums in another order, which moves a
rounding here and there; a changed file moves it by more."""


@dataclass(frozen=True)
class Comparison:
    """What comparing the models of a build brought.

    Attributes:
        parity: one result per fp16 and int8 file.
        checks: what failed, with its cause where that has a name.
        outputs: what every model that runs drew of the first pictures, the float model included.
    """

    parity: tuple[ParityResult, ...] = ()
    checks: tuple[Check, ...] = ()
    outputs: Outputs = field(default_factory=Outputs)


def compare_models(
    build: Build,
    patches: Sequence[PatchRef],
    progress: Progress,
    known: Drawn = MappingProxyType({}),
) -> Comparison:
    """Run every file of a build and compare each fp16 and int8 file with the float file.

    Args:
        build: the models; the float model is among them.
        patches: the pictures to compare on.
        progress: told what is going on.
        known: what some files draw of some pictures, and need not draw again.
    """
    tile = build.manifest.network.tile
    step = held_at_once(tile.batch)
    through = {
        file for file in build.models if all((file, patch.name) in known for patch in patches)
    }
    workers, _ = shares(len(build.models) * -(-len(patches) // tile.batch), most=MOST_WORKERS)
    runners, refused = load_runners(build, without=through)
    drawing = {*runners, *through}
    reference = build.manifest.float_artifact.path
    if reference not in drawing:
        return Comparison(checks=refused)
    kind = build.manifest.network.output
    thresholds = {
        item.path: threshold_of(item.precision, kind)
        for item in build.manifest.models()
        if item.precision in {"fp16", "int8"} and item.path in drawing
    }
    images: dict[str, list[ImageParity]] = {name: [] for name in thresholds}
    diagnoses: dict[str, Check] = {}
    kept = Outputs()
    title = f"{build.manifest.model}: running {', '.join(runners)}"
    with progress.stage(title, len(patches)) as advance:
        for start in range(0, len(patches), step):
            outputs = run_models(
                runners,
                patches[start : start + step],
                workers=workers,
                advance=advance,
                known=known,
                tile=tile,
            )
            kept = kept if kept.images else outputs
            try:
                for name, threshold in thresholds.items():
                    compared = compare_outputs(outputs, reference, name, kind)
                    images[name] += compared
                    if name not in diagnoses:
                        diagnoses |= diagnose_outputs(
                            outputs, compared, reference, name, threshold, kind
                        )
            except EsrdeployError as error:
                failed = Check.of(False, "parity", reference, str(error))
                return Comparison(checks=(*refused, failed), outputs=kept)
    parity = tuple(
        ParityResult(name, reference, thresholds[name], tuple(compared))
        for name, compared in images.items()
    )
    return Comparison(parity, (*refused, *diagnoses.values()), kept)


def load_runners(build: Build, without: Collection[str] = ()) -> tuple[Runners, tuple[Check, ...]]:
    """Load every model of a build the way its file is judged.

    Args:
        build: the models.
        without: files that need not be loaded.

    Returns:
        The models that a runtime takes, by file, and a failed check for each other one.
    """

    def loaded(item: Artifact) -> Runner | Check:
        try:
            return judged_runner(build.files[item.path], item.precision)
        except EsrdeployError as error:
            return Check.of(False, "parity", item.path, str(error))

    items = [item for item in build.manifest.models() if item.path in {*build.models} - {*without}]
    with ThreadPoolExecutor() as pool:
        found = dict(zip((item.path for item in items), pool.map(loaded, items), strict=True))
    runners = {path: run for path, run in found.items() if not isinstance(run, Check)}
    return runners, tuple(check for check in found.values() if isinstance(check, Check))


def compare_outputs(
    outputs: Outputs, reference: str, candidate: str, kind: OutputKind
) -> list[ImageParity]:
    """Compare what two models gave out, picture by picture.

    Raises:
        VerificationError: shapes differ, or the reference drew NaN or infinity.
    """
    pairs = zip(outputs.by_file[reference], outputs.by_file[candidate], strict=True)
    return [compare(name, *pair, kind) for name, pair in zip(outputs.images, pairs, strict=True)]


def diagnose_outputs(  # noqa: PLR0913, PLR0917  # what is compared, and by what
    outputs: Outputs,
    compared: Sequence[ImageParity],
    reference: str,
    candidate: str,
    threshold: Threshold,
    kind: OutputKind,
) -> dict[str, Check]:
    """Name the fault of the first picture that fails and whose fault has a name.

    Args:
        outputs: what the models drew.
        compared: their parity, picture by picture.
        reference: the model that is right.
        candidate: the one that is judged.
        threshold: what each picture has to reach.
        kind: what they give out.

    Returns:
        A failed check by ``candidate``; empty where no fault has a name, as none of maps has.
    """
    if kind != "picture":
        return {}
    pairs = zip(outputs.by_file[reference], outputs.by_file[candidate], strict=True)
    for image, pair in zip(compared, pairs, strict=True):
        if ParityResult(candidate, reference, threshold, (image,)).passed:
            continue
        finding = diagnose(*pair)
        if finding is not None:
            detail = f"{image.name}: {finding.cause}; {finding.explanation}"
            return {candidate: Check.of(False, "diagnosis", candidate, detail)}
    return {}


def recorded_elsewhere(manifest: Manifest, images_digest: str) -> bool:
    """Say whether a build's figures are of pictures of the user's other than those compared now.

    Args:
        manifest: of the build.
        images_digest: of the pictures compared now.
    """
    before = manifest.verified_on
    if before is None or before.choice == "sample" or not manifest.parity.artifacts:
        return False
    return manifest.parity.images_digest != images_digest


def against_record(
    manifest: Manifest, images_digest: str, parity: Sequence[ParityResult]
) -> list[Check]:
    """Compare the figures of fp16 and int8 files with those the manifest recorded.

    Args:
        manifest: of the build.
        images_digest: of the pictures compared now; those of other pictures say nothing.
        parity: what was found now.
    """
    if manifest.parity.images_digest != images_digest:
        if not recorded_elsewhere(manifest, images_digest):
            return []
        detail = (
            f"judged on other pictures: the figures of the build are of {manifest.verified_on}, "
            f"{at_least(manifest.parity.artifacts.values())} on each; name the folder that holds "
            "them with --images to take them again"
        )
        return [Check.skipped("recorded parity", PARITY_NAME, detail)]
    checks = []
    for result in parity:
        recorded = manifest.parity.artifacts.get(result.candidate)
        found_db = result.summary().psnr_db_mean
        recorded_db = None if recorded is None else recorded.psnr_db_mean
        agrees = recorded_db is not None and abs(recorded_db - found_db) <= RECORD_TOLERANCE_DB
        checks.append(
            Check.of(
                agrees,
                "recorded parity",
                result.candidate,
                f"measured {found_db:.2f} dB, the manifest records {recorded_db} dB",
            )
        )
    return checks
