"""Write and read ``manifest.json``, the facts of a build.

The manifest is the one file that names every other: what was built, from which weights and
images, with which versions, and what the verification measured. It holds no time, no host and
no absolute path, so the same inputs give the same bytes.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from calib.digest import canonical_json
from calib.errors import UsageError, VerificationError
from deploy import __version__
from deploy.artifacts.files import MANIFEST_NAME, Artifact

SCHEMA_VERSION = 1
_VERSIONED = ("numpy", "onnx", "onnxruntime", "onnxsim", "opencv-python", "torch")


def library_versions() -> dict[str, str]:
    """Return the versions of esrdeploy and of the libraries that shape its artifacts."""
    versions = {"esrdeploy": __version__}
    for name in _VERSIONED:
        with suppress(PackageNotFoundError):  # opencv also comes under other distribution names
            versions[name] = version(name)
    return versions


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says.

    Attributes:
        model: name in the model table.
        network: architecture, scale, parameters and multiply-accumulates.
        weights: origin, sha256 and whether they are the official file.
        calibration: digest of the calibration table and the record of its images; ``None`` for
            a build that needed none.
        options: every choice that shaped the artifacts.
        artifacts: every other file of the build.
        fp16_kept: nodes that the fp16 model computes in float32, each with its reason.
        parity: per ONNX file the overall figures of its verification.
        versions: of esrdeploy and the libraries that took part.
    """

    model: str
    network: Mapping[str, Any]
    weights: Mapping[str, Any]
    calibration: Mapping[str, Any] | None
    options: Mapping[str, Any]
    artifacts: tuple[Artifact, ...]
    fp16_kept: Mapping[str, str] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=library_versions)

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
        artifacts = [item.record() for item in self.artifacts]
        return {"schema_version": SCHEMA_VERSION, **asdict(self), "artifacts": artifacts}

    def content(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        return canonical_json(self.record())


def find_builds(path: Path) -> list[Path]:
    """List the folders of all builds at or under ``path``, sorted.

    Raises:
        UsageError: ``path`` is no folder.
        VerificationError: there is no build under it.
    """
    if not path.is_dir():
        raise UsageError(f"found no folder {path}; run 'esrdeploy build' first or name its output")
    folders = sorted(manifest.parent for manifest in path.rglob(MANIFEST_NAME))
    if not folders:
        raise VerificationError(
            f"found no {MANIFEST_NAME} under {path}, so there is nothing to verify or report; "
            "an interrupted build leaves none: run 'esrdeploy build' again"
        )
    return folders


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        VerificationError: the file is missing, not JSON, of another schema, or lacks a field.
    """
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise VerificationError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise VerificationError(f"{path} is not JSON ({error}); build again") from error
    found = fields.pop("schema_version", None) if isinstance(fields, dict) else None
    if found != SCHEMA_VERSION:
        raise VerificationError(
            f"{path} has schema version {found}, expected {SCHEMA_VERSION}; build again"
        )
    try:
        artifacts = tuple(Artifact.from_record(item) for item in fields.pop("artifacts"))
        manifest = Manifest(artifacts=artifacts, **fields)
    except (KeyError, TypeError) as error:
        raise VerificationError(f"{path} lacks or adds a field ({error}); build again") from error
    _require_plain_names(path, manifest)
    return manifest


def _require_plain_names(path: Path, manifest: Manifest) -> None:
    """Refuse a manifest that points outside its own folder."""
    for item in manifest.artifacts:
        if Path(item.path).name != item.path:
            raise VerificationError(
                f"{path} names the file {item.path!r}, expected a plain name in its own folder"
            )
