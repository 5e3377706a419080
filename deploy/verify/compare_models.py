"""A build and pictures in, parity of its fp16 and int8 models and what parity leaves behind out.

Every model runs in the meaning of its file. Of each, the first pictures are kept as they were
drawn, for backends to be held against, and a picture that fails is looked at for its cause while
it is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from calib.dataset import PatchRef
from calib.errors import EsrdeployError
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.manifest import Manifest
from deploy.diagnosis.pictures import diagnose
from deploy.metrics.parity import (
    THRESHOLDS,
    ImageParity,
    Observer,
    OutputPair,
    ParityResult,
    Threshold,
    measure,
    unobserved,
)
from deploy.progress import Progress
from deploy.runtime.runner import Runner, model_runner
from deploy.verify.backend_error import PICTURES

RECORD_TOLERANCE_DB = 0.5
"""How far parity may lie from the manifest's: another CPU sums in another order, which moves a
rounding here and there; a changed file moves it by more."""


@dataclass
class Evidence:
    """Collects, picture by picture, what explains or completes the parity figures.

    Attributes:
        thresholds: what each picture of a file has to reach, by file name.
        drawn: the first pictures of each file.
        diagnoses: a failed check for each file with a picture whose fault has a name.
    """

    thresholds: Mapping[str, Threshold]
    drawn: dict[str, list[OutputPair]] = field(default_factory=dict)
    diagnoses: dict[str, Check] = field(default_factory=dict)

    def observe(self, artifact: str, image: ImageParity, drawn: OutputPair) -> None:
        """Take in one picture of one file."""
        kept = self.drawn.setdefault(artifact, [])
        if len(kept) < PICTURES:
            kept.append(drawn)
        passed = ParityResult(artifact, "", self.thresholds[artifact], (image,)).passed
        if passed or artifact in self.diagnoses:
            return
        finding = diagnose(drawn.reference, drawn.candidate)
        if finding is not None:
            detail = f"{image.name}: {finding.cause}; {finding.explanation}"
            self.diagnoses[artifact] = Check.of(False, "diagnosis", artifact, detail)


@dataclass(frozen=True)
class Comparison:
    """What comparing the models of a build brought.

    Attributes:
        parity: one result per fp16 and int8 file.
        checks: what failed, with its cause where that has a name.
        drawn: the first pictures of each file, the float model's own included.
    """

    parity: tuple[ParityResult, ...] = ()
    checks: tuple[Check, ...] = ()
    drawn: Mapping[str, Sequence[OutputPair]] = field(default_factory=dict)


def compare_models(
    build: Build,
    patches: Sequence[PatchRef],
    progress: Progress,
    observe: Observer = unobserved,
) -> Comparison:
    """Compare each fp16 and int8 file with the float file, in the meaning of the file.

    Args:
        build: the models.
        patches: the pictures to compare on.
        progress: told what is going on.
        observe: shown every picture of every model as it is drawn.
    """
    reference = build.manifest.float_artifact
    items = [
        item
        for item in build.manifest.models()
        if item.precision not in {None, "fp32"} and item.path in build.models
    ]
    thresholds = {item.path: THRESHOLDS[item.precision] for item in items if item.precision}
    if not thresholds:
        return Comparison()
    loaded = {name: _load(build, name) for name in thresholds}
    refused = [item for item in loaded.values() if isinstance(item, Check)]
    candidates = {name: item for name, item in loaded.items() if not isinstance(item, Check)}
    title = f"{build.manifest.model}: comparing {', '.join(candidates)}"
    evidence = Evidence(thresholds)

    def take_in(artifact: str, image: ImageParity, drawn: OutputPair) -> None:
        evidence.observe(artifact, image, drawn)
        observe(artifact, image, drawn)

    try:
        with progress.stage(title, len(patches)) as advance:
            measured = measure(build.float_runner, candidates, patches, advance, take_in)
    except EsrdeployError as error:
        failed = Check.of(False, "parity", reference.path, str(error))
        return Comparison(checks=(*refused, failed))
    parity = tuple(
        ParityResult(name, reference.path, thresholds[name], images)
        for name, images in measured.items()
    )
    if not parity:
        return Comparison(checks=tuple(refused))
    first = next(iter(evidence.drawn.values()))
    own = [OutputPair(d.name, d.network_input, d.reference, d.reference) for d in first]
    return Comparison(
        parity,
        (*refused, *evidence.diagnoses.values()),
        {reference.path: own, **evidence.drawn},
    )


def _load(build: Build, name: str) -> Runner | Check:
    """Load a model in the meaning of its file; one that cannot be loaded fails."""
    try:
        return model_runner(build.models[name], optimized=False)
    except EsrdeployError as error:
        return Check.of(False, "parity", name, str(error))


def against_record(
    manifest: Manifest, images_digest: str, parity: Sequence[ParityResult]
) -> list[Check]:
    """Compare the figures with those the manifest recorded on the same pictures."""
    if manifest.parity.images_digest != images_digest:
        return []
    checks = []
    for result in parity:
        if result.threshold == THRESHOLDS["fp32"]:
            continue  # two float engines differ by noise alone; the threshold says enough
        recorded = manifest.parity.artifacts.get(result.candidate)
        found_db = result.summary().psnr_db_mean
        agrees = (
            recorded is not None and abs(recorded.psnr_db_mean - found_db) <= RECORD_TOLERANCE_DB
        )
        recorded_db = None if recorded is None else recorded.psnr_db_mean
        checks.append(
            Check.of(
                agrees,
                "recorded parity",
                result.candidate,
                f"measured {found_db:.2f} dB, the manifest records {recorded_db} dB",
            )
        )
    return checks
