"""Read the files of a build that are the ones its manifest names."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import onnx

from calib.errors import CalibrationError, GraphError, VerificationError
from calib.files import read_whole
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from deploy.artifacts.check import Check, check_digest
from deploy.artifacts.files import (
    PARITY_NAME,
    TABLE_ARRAYS_NAME,
    TABLE_NAME,
    Artifact,
    build_files,
    plan_file_name,
    sensitivity_file_name,
)
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.onnx_files import load_model
from deploy.artifacts.parity_record import ParityFile, read_parity
from quant.passes.forms.form import in_usual_form
from quant.plan import QuantPlan
from quant.qdq.int8_share import Int8Share, int8_share
from quant.qdq.view import QdqView
from quant.sensitivity import Sensitivity, SensitivityFile


@dataclass(frozen=True, eq=False)
class Build:
    """The files of a build that proved to be the ones its manifest names.

    Attributes:
        folder: where they lie.
        manifest: what names them.
        models: the parsed ONNX models by file name, in the usual form of pictures.
        files: the same as they are written: what a chip is given, and what is run.
        plans: the parsed plans by the file name of the int8 model that follows them.
        sensitivities: what layer groups cost, by the file name of the int8 model, where that was
            measured.
        table: the calibration table, where the build has one.
        parity: the parity figures, where the build was verified.
    """

    folder: Path
    manifest: Manifest
    models: dict[str, onnx.ModelProto] = field(default_factory=dict)
    files: dict[str, onnx.ModelProto] = field(default_factory=dict)
    plans: dict[str, QuantPlan] = field(default_factory=dict)
    sensitivities: dict[str, Sensitivity] = field(default_factory=dict)
    table: CalibrationTable | None = None
    parity: ParityFile | None = None

    @property
    def float_model(self) -> onnx.ModelProto | None:
        """The float model, if it is intact."""
        return self.models.get(self.manifest.float_artifact.path)

    @cached_property
    def float_graph(self) -> GraphIndex | None:
        """The index of the float model, if it is intact."""
        return None if self.float_model is None else GraphIndex(self.float_model)

    @cached_property
    def int8_shares(self) -> dict[str, str]:
        """How much of each int8 model is in integers, and its size beside the float file's."""
        float_bytes = self.manifest.float_artifact.size_bytes
        sizes = {item.path: item.size_bytes for item in self.manifest.models()}
        return {
            path: share.of_size(sizes[path], float_bytes) for path, share in self.shares.items()
        }

    @property
    def fitting_table(self) -> CalibrationTable | None:
        """The calibration table, if it was taken on the float model that is shipped."""
        if self.float_graph is None or self.table is None:
            return None
        return self.table if self.table.network_digest == self.float_graph.network_digest else None

    @cached_property
    def shares(self) -> dict[str, Int8Share]:
        """Which convolutions of each intact int8 model compute in integers, by file name."""
        shares = {}
        for item in self.manifest.models():
            if item.precision == "int8" and item.path in self.models:
                with suppress(GraphError):  # a finding of the checks, which name its cause
                    shares[item.path] = int8_share(QdqView(GraphIndex(self.models[item.path])))
        return shares


def check_named(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """Ask whether the manifest names every file of a build's kind in the folder."""
    strangers = sorted({*build_files(folder)} - {item.path for item in manifest.artifacts})
    for name in strangers:
        yield Check.of(
            False,
            "unnamed file",
            name,
            "is not in the manifest, so nothing says what it was made from; build again with "
            "--replace, or remove it",
        )


def check_files(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """Hash every file that the manifest names."""
    for item in manifest.artifacts:
        yield check_digest(folder, item.path, item.sha256, item.size_bytes)


def load_build(
    folder: Path, manifest: Manifest, intact: Collection[str]
) -> tuple[Build, tuple[Check, ...]]:
    """Parse the files that are intact, each once.

    Args:
        folder: where the files lie.
        manifest: what names them.
        intact: names of the files whose digest is right; the others are not touched.

    Returns:
        The build, and a failed check for each file that does not parse.
    """
    build = Build(folder, manifest)
    failed: list[Check] = []
    for item in manifest.models():
        if item.path not in intact:
            continue
        try:
            file = load_model(folder / item.path, item.path)
            build.models[item.path] = in_usual_form(file)
            build.files[item.path] = file
        except GraphError as error:
            failed.append(Check.of(False, "parse", item.path, str(error)))
        if item.precision == "int8":
            failed += _load_records(build, item, intact)
    if {TABLE_NAME, TABLE_ARRAYS_NAME} <= {*intact}:
        try:
            build = replace(build, table=CalibrationTable.load(folder / TABLE_NAME))
        except CalibrationError as error:
            failed.append(Check.of(False, "parse", TABLE_NAME, str(error)))
    if PARITY_NAME in intact:
        try:
            build = replace(build, parity=read_parity(folder))
        except VerificationError as error:
            failed.append(Check.of(False, "parse", PARITY_NAME, str(error)))
    return build, tuple(failed)


def _load_records(build: Build, item: Artifact, intact: Collection[str]) -> Iterator[Check]:
    """Parse the plan of an int8 model, and what its layer groups cost, where that was measured."""
    model, target = build.manifest.stem, item.target or ""
    plan, costs = plan_file_name(model, target), sensitivity_file_name(model, target)
    if plan in intact:
        try:
            content = read_whole(build.folder / plan)
            build.plans[item.path] = QuantPlan.parse(content, plan)
        except (OSError, GraphError) as error:
            yield Check.of(False, "plan", plan, str(error))
    if costs in intact:
        try:
            path = build.folder / costs
            build.sensitivities[item.path] = SensitivityFile.read(path).measured
        except CalibrationError as error:
            yield Check.of(False, "parse", costs, str(error))
