"""Record the facts of a build in ``manifest.json``, and read them back.

The manifest is the one file that names every other: what was built, from which weights and
images, with which versions, and what the verification measured. It holds no time, no host and
no absolute path, so the same inputs give the same bytes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from calib.errors import UsageError, VerificationError
from calib.images_record import ImagesSummary
from calib.records import Count, PlainName, Scale, Sha256, encode, read
from deploy import __version__
from deploy.artifacts.files import (
    MANIFEST_NAME,
    PARITY_NAME,
    TABLE_NAME,
    Artifact,
    model_file_name,
    plan_file_name,
)
from deploy.artifacts.parity_record import ParityFigures
from deploy.artifacts.precision import PRECISIONS, ModelPrecision
from quant.plan import QuantOptions

SCHEMA_VERSION: Literal[2] = 2
BUNDLE_SCHEMA = "esrdeploy.handoff/"
_CHECK_BUNDLE = "'esrdeploy handoff --check' checks a bundle"
_VERSIONED = ("numpy", "onnx", "onnxruntime", "onnxsim", "opencv-python", "torch")


def library_versions() -> dict[str, str]:
    """Return the versions of esrdeploy and of the libraries that shape its artifacts."""
    versions = {"esrdeploy": __version__}
    for name in _VERSIONED:
        with suppress(PackageNotFoundError):  # opencv also comes under other distribution names
            versions[name] = version(name)
    return versions


@dataclass(frozen=True)
class NetworkRecord:
    """The network that was built.

    Attributes:
        architecture: its kind and sizes, for people.
        scale: output pixels per input pixel along one side.
        parameters: how many it has.
        macs: multiply-accumulates for one input.
    """

    architecture: str
    scale: Scale
    parameters: Count
    macs: Count


@dataclass(frozen=True)
class WeightsRecord:
    """The checkpoint it was built from.

    Attributes:
        origin: where the weights came from, without machine paths.
        sha256: of the file that holds the weights.
        files: sha256 of every file that was read, by file name.
        official: whether the file is the official release; ``None`` where that cannot be said.
    """

    origin: str
    sha256: Sha256
    files: Mapping[str, Sha256]
    official: bool | None


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
class BuildOptions:
    """Every choice that shapes the artifacts; no path is one.

    Attributes:
        precision: the lowest that was built.
        targets: target profiles of the int8 models.
        quantization: how to quantize.
        budget: what the int8 models may lose, in the words it was asked for in, or ``None``.
        fp16_keep: nodes that the fp16 model was asked to compute in float32.
        promoted: by target, the nodes that the budget promoted to a higher precision, with the
            reason.
    """

    precision: ModelPrecision = "int8"
    targets: tuple[str, ...] = ()
    quantization: QuantOptions = field(default_factory=QuantOptions)
    budget: str | None = None
    fp16_keep: tuple[str, ...] = ()
    promoted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def quantization_for(self, target: str) -> QuantOptions:
        """Return how the int8 model of a target is quantized, what the budget did included."""
        promoted = self.promoted.get(target, self.quantization.promoted)
        return replace(self.quantization, promoted=promoted)


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
    versions: Mapping[str, str] = field(default_factory=library_versions)
    schema_version: Literal[2] = SCHEMA_VERSION

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

    def models(self) -> tuple[Artifact, ...]:
        """Return the artifacts that are ONNX models."""
        return tuple(item for item in self.artifacts if item.precision is not None)

    def record(self) -> dict[str, Any]:
        """Return the manifest as a JSON-able mapping."""
        return asdict(self)

    def content(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        return encode(self)


def find_builds(path: Path) -> list[Path]:
    """List the folders of all builds at or under ``path``, sorted.

    Raises:
        UsageError: ``path`` is no folder, there is no build under it, or it is a bundle.
    """
    if path.suffix == ".zip" and path.is_file():
        raise UsageError(f"{path} is a zip, not a folder of builds; {_CHECK_BUNDLE}")
    if not path.is_dir():
        raise UsageError(f"found no folder {path}; run 'esrdeploy build' first or name its output")
    folders = sorted(manifest.parent for manifest in path.rglob(MANIFEST_NAME))
    if not folders:
        raise UsageError(
            f"found no {MANIFEST_NAME} under {path}, so there is nothing to verify or report; "
            "an interrupted build leaves none: run 'esrdeploy build' again"
        )
    return folders


def written_as(path: Path) -> Literal["build", "bundle"] | None:
    """Return what a ``manifest.json`` says it is of, or ``None`` where it says neither.

    The two share their file name, and people mistake one folder for the other.
    """
    try:
        document = json.loads(path.read_bytes())
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
    if written_as(path) == "bundle":
        raise UsageError(f"{path.parent} is a handoff bundle, not a build; {_CHECK_BUNDLE}")
    manifest = read(path, Manifest, VerificationError, "build again")
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
    if manifest.options.precision == "int8" and targets != {*manifest.options.targets}:
        asked, built = ", ".join(manifest.options.targets), ", ".join(map(str, targets))
        yield f"options.targets is {asked or 'empty'}, int8 models are of {built or 'none'}"
    names = [item.path for item in manifest.artifacts]
    for name in sorted(_needed(manifest) - {*names}):
        yield f"artifacts does not name {name}, which the rest of it needs"
    if len({*names}) != len(names):
        yield "artifacts names a file twice"


def _needed(manifest: Manifest) -> set[str]:
    """Return the files that follow from what was asked for."""
    model, options = manifest.model, manifest.options
    built = PRECISIONS[: PRECISIONS.index(options.precision) + 1]
    needed = {PARITY_NAME, *(model_file_name(model, item) for item in built if item != "int8")}
    if "fp16" in built:
        needed |= {TABLE_NAME, Path(TABLE_NAME).with_suffix(".npz").name}
    if "int8" in built:
        needed |= {model_file_name(model, "int8", target) for target in options.targets}
        needed |= {plan_file_name(model, target) for target in options.targets}
    return needed
