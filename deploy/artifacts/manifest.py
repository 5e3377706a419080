"""Record the facts of a build in ``manifest.json``, and read them back.

The manifest is the one file that names every other: what was built, from which weights and
images, with which versions, and what the verification measured. It holds no time, no host and
no absolute path, so the same inputs give the same bytes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from calib.errors import UsageError, VerificationError
from calib.files import read_whole
from calib.images_record import ImagesSummary, images_digest
from calib.records import PlainName, Sha256, encode, read
from deploy import __version__
from deploy.artifacts.build_options import BuildOptions
from deploy.artifacts.files import (
    MANIFEST_NAME,
    PARITY_NAME,
    REPORT_NAME,
    TABLE_ARRAYS_NAME,
    TABLE_NAME,
    Artifact,
    model_file_name,
    plan_file_name,
)
from deploy.artifacts.network_record import NetworkRecord
from deploy.artifacts.parity_record import ParityFigures, ParityFile, VerifiedOn
from deploy.artifacts.precision import PRECISIONS
from deploy.artifacts.weights_record import WeightsRecord

SCHEMA_VERSION: Literal[13] = 13
BUNDLE_SCHEMA = "esrdeploy.handoff/"
CHECK_BUNDLE = "'esrdeploy handoff --check' checks a bundle"
_VERSIONED = ("numpy", "onnx", "onnxruntime", "onnxsim", "opencv-python", "torch")


def library_versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of esrdeploy and of the libraries that shape its artifacts.

    Args:
        more: names of further ones, which took part in one build alone.
    """
    versions = {"esrdeploy": __version__}
    for name in (*_VERSIONED, *more):
        with suppress(PackageNotFoundError):  # opencv also comes under other distribution names
            versions[name] = version(name)
    return versions


@dataclass(frozen=True)
class CalibrationRecord:
    """The calibration table, by what identifies it.

    Attributes:
        digest: of the table.
        images: what it was made from; the list of them stands in the table.
    """

    digest: Sha256
    images: ImagesSummary


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says.

    Attributes:
        model: name in the model table.
        network: what was built.
        weights: what it was built from.
        calibration: the calibration table; ``None`` for a build that needed none.
        options: every choice that shaped the artifacts.
        artifacts: every other file of the build.
        fp16_kept: nodes that the fp16 model computes in float32, each with its reason.
        parity: per ONNX file the overall figures of its verification.
        verified_on: the pictures that these are of; ``None`` where nothing was compared.
        versions: of esrdeploy and the libraries that took part.
        schema_version: version of the format.
    """

    model: PlainName
    network: NetworkRecord
    weights: WeightsRecord
    calibration: CalibrationRecord | None
    options: BuildOptions
    artifacts: tuple[Artifact, ...]
    fp16_kept: Mapping[str, str] = field(default_factory=dict)
    parity: ParityFigures = field(default_factory=ParityFigures)
    verified_on: VerifiedOn | None = None
    versions: Mapping[str, str] = field(default_factory=library_versions)
    schema_version: Literal[13] = SCHEMA_VERSION

    @property
    def stem(self) -> str:
        """What file names of the build begin with: the model, and its input where unusual."""
        return self.network.tile.named(self.model)

    def artifact(self, path: str) -> Artifact | None:
        """Return the artifact of that path, or ``None``."""
        return next((item for item in self.artifacts if item.path == path), None)

    @property
    def float_artifact(self) -> Artifact:
        """The float model that every other model is judged by.

        Raises:
            VerificationError: the manifest names none.
        """
        for item in self.artifacts:
            if item.precision == "fp32":
                return item
        raise VerificationError(f"the manifest of {self.model} names no fp32 model; build again")

    def files(self, *, report: bool) -> tuple[str, ...]:
        """Return the names of all files of the build, its manifest and, if it has one, report."""
        extra = (MANIFEST_NAME, REPORT_NAME) if report else (MANIFEST_NAME,)
        return (*(item.path for item in self.artifacts), *extra)

    def models(self) -> tuple[Artifact, ...]:
        """Return the artifacts that are ONNX models."""
        return tuple(item for item in self.artifacts if item.precision is not None)

    def joint_db(self, parity: ParityFile) -> dict[str, float]:
        """Return by target what the pictures of its int8 model reach together, in dB."""
        return {
            item.target: parity.artifacts[item.path].joint_db
            for item in self.models()
            if item.target is not None
            and item.path in parity.artifacts
            and parity.artifacts[item.path].per_image
        }

    def record(self) -> dict[str, Any]:
        """Return the manifest as a JSON-able mapping."""
        return asdict(self)

    def content(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        return encode(self)


def written_as(path: Path) -> Literal["build", "bundle"] | None:
    """Return what a ``manifest.json`` says it is of, or ``None`` where it says neither.

    The two share their file name, and people mistake one folder for the other.
    """
    try:
        document = json.loads(read_whole(path))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    if str(document.get("schema", "")).startswith(BUNDLE_SCHEMA):
        return "bundle"
    return "build" if isinstance(document.get("schema_version"), int) else None


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        UsageError: it is a bundle's.
        VerificationError: the file is missing, not JSON, of another schema, no manifest, or
            contradicts itself.
    """
    try:
        manifest = read(path, Manifest, VerificationError, "build again")
    except VerificationError:
        if written_as(path) == "bundle":
            message = f"{path.parent} is a handoff bundle, not a build; {CHECK_BUNDLE}"
            raise UsageError(message) from None
        raise
    for problem in _contradictions(manifest):
        raise VerificationError(f"{path}: {problem}; build again")
    return manifest


def _contradictions(manifest: Manifest) -> Iterator[str]:
    """Say where the parts of a manifest do not fit together."""
    for position, item in enumerate(manifest.artifacts):
        is_model = item.path.endswith(".onnx")
        facts = {
            "precision": (item.precision is not None, is_model),
            "opset": (item.opset is not None, is_model),
            "target": (item.target is not None, item.precision == "int8"),
        }
        for name, (found, expected) in facts.items():
            if found != expected:
                value = getattr(item, name)
                kind = "expected one" if expected else "expected none"
                yield f"artifacts[{position}].{name} of {item.path} is {value}, {kind}"
    calibrated = manifest.options.precision != "fp32"
    if (manifest.calibration is not None) != calibrated:
        state = "null" if calibrated else "given"
        yield f"calibration is {state}, options.precision is {manifest.options.precision}"
    targets = {item.target for item in manifest.artifacts if item.precision == "int8"}
    if targets != {*manifest.options.targets}:
        asked, built = ", ".join(manifest.options.targets), ", ".join(map(str, targets))
        yield f"options.targets is {asked or 'empty'}, int8 models are of {built or 'none'}"
    yield from _other_pictures(manifest)
    names = [item.path for item in manifest.artifacts]
    for name in sorted(_needed(manifest) - {*names}):
        yield f"artifacts does not name {name}, which the rest of it needs"
    if len({*names}) != len(names):
        yield "artifacts names a file twice"


def _other_pictures(manifest: Manifest) -> Iterator[str]:
    """Say where the parity figures are of other pictures than the manifest lists."""
    judged = None
    if manifest.verified_on is not None:
        images = manifest.verified_on.images
        judged = images_digest(images.mode, images.patches)
    if judged != manifest.parity.images_digest:
        yield f"parity.images_digest is {manifest.parity.images_digest}, verified_on is of {judged}"
    if manifest.verified_on is not None and manifest.verified_on.images.digest != judged:
        yield f"verified_on.images.digest is not {judged}, which its pictures give"


def _needed(manifest: Manifest) -> set[str]:
    """Return the files that follow from what was asked for."""
    model, options = manifest.stem, manifest.options
    built = PRECISIONS[: PRECISIONS.index(options.precision) + 1]
    needed = {PARITY_NAME, *(model_file_name(model, item) for item in built if item != "int8")}
    if "fp16" in built:
        needed |= {TABLE_NAME, TABLE_ARRAYS_NAME}
    if "int8" in built:
        needed |= {model_file_name(model, "int8", target) for target in options.targets}
        needed |= {plan_file_name(model, target) for target in options.targets}
    return needed
