"""Read the files of a build that are the ones its manifest names."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from calib.digest import sha256_file
from calib.errors import CalibrationError, EsrdeployError
from calib.graph import graph_digest
from calib.table import CalibrationTable
from deploy.artifacts.check import Check
from deploy.artifacts.files import TABLE_NAME, Artifact, plan_file_name
from deploy.artifacts.manifest import Manifest
from deploy.runtime.runner import Runner, model_runner, remembering
from quant.plan import QuantPlan


@dataclass(frozen=True)
class Build:
    """The files of a build that proved to be the ones its manifest names.

    Attributes:
        folder: where they lie.
        manifest: what names them.
        models: the parsed ONNX models by file name.
        table: the calibration table, where the build has one.
    """

    folder: Path
    manifest: Manifest
    models: dict[str, onnx.ModelProto] = field(default_factory=dict)
    table: CalibrationTable | None = None

    @property
    def float_model(self) -> onnx.ModelProto | None:
        """The float model, if it is intact."""
        return self.models.get(self.manifest.float_artifact.path)

    @cached_property
    def float_runner(self) -> Runner:
        """The float model as onnxruntime executes it, run once for each picture.

        Raises:
            GraphError: onnxruntime refuses the model.
        """
        return remembering(
            model_runner(self.models[self.manifest.float_artifact.path], optimized=True)
        )

    @cached_property
    def fitting_table(self) -> CalibrationTable | None:
        """The calibration table, if it was taken on the float model that is shipped."""
        if self.float_model is None or self.table is None:
            return None
        same = self.table.graph_digest == graph_digest(self.float_model)
        return self.table if same else None

    def plan(self, item: Artifact) -> QuantPlan | None:
        """Return the plan beside an int8 file; ``None`` if there is none that can be read."""
        if item.precision != "int8":
            return None
        name = plan_file_name(self.manifest.model, item.target or "")
        try:
            return QuantPlan.parse((self.folder / name).read_bytes(), name)
        except (OSError, EsrdeployError):
            return None

    @cached_property
    def calibrated_on(self) -> frozenset[str]:
        """Digests of the pictures that the calibration saw."""
        if self.table is None:
            return frozenset()
        return frozenset(entry.sha256 for entry in self.table.images.patches)


def check_files(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """Hash every file that the manifest names."""
    for item in manifest.artifacts:
        path = folder / item.path
        try:
            found = sha256_file(path)
        except OSError as error:
            yield Check.of(False, "file", item.path, f"cannot be read: {error.strerror or error}")
            continue
        detail = f"sha256 {found}"
        if found != item.sha256:
            detail += (
                f" of {path.stat().st_size} bytes, the manifest records {item.sha256} of "
                f"{item.size_bytes} bytes: the file was changed after the build"
            )
        yield Check.of(found == item.sha256, "file", item.path, detail)


def load_build(
    folder: Path, manifest: Manifest, intact: Collection[str]
) -> tuple[Build, list[Check]]:
    """Parse the files that are intact.

    Args:
        folder: where the files lie.
        manifest: what names them.
        intact: names of the files whose digest is right; the others are not touched.

    Returns:
        The build, and a failed check for each file that does not parse.
    """
    models: dict[str, onnx.ModelProto] = {}
    failed: list[Check] = []
    for item in manifest.models():
        if item.path not in intact:
            continue
        try:
            models[item.path] = onnx.load(folder / item.path)
        except (DecodeError, OSError) as error:
            detail = f"is no ONNX model, it is truncated or damaged: {error}"
            failed.append(Check.of(False, "parse", item.path, detail))
    table = None
    if TABLE_NAME in intact:
        try:
            table = CalibrationTable.load(folder / TABLE_NAME)
        except CalibrationError as error:
            detail = f"is no calibration table, it is truncated or damaged: {error}"
            failed.append(Check.of(False, "parse", TABLE_NAME, detail))
    return Build(folder, manifest, models, table), failed
