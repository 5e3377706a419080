"""A manifest and the files beside it in, one :class:`Check` per question asked of them out.

Nothing here runs a network. A check that fails says what was found and what was expected; a
check that cannot be made is ``skipped`` with its reason, never silently passed.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from calib.digest import sha256_file
from calib.errors import CalibrationError, EsrdeployError
from calib.graph import graph_digest
from calib.images import PATCH_PX
from calib.table import CalibrationTable
from deploy.artifacts import (
    MANIFEST_NAME,
    REPORT_NAME,
    TABLE_NAME,
    Artifact,
    main_opset,
    plan_file_name,
)
from deploy.manifest import Manifest
from deploy.parity import Runner
from deploy.running import model_runner, remembering
from quant.plan import QuantPlan
from quant.rules import check_rules
from quant.targets import find_profile

Status = Literal["passed", "failed", "skipped"]

_MADE_FROM = re.compile(rb'<meta name="esrdeploy-manifest" content="([0-9a-f]{64})">')


@dataclass(frozen=True)
class Check:
    """One question asked of one artifact.

    Attributes:
        name: what was asked.
        artifact: file it was asked of.
        status: passed, failed, or skipped.
        detail: what was found and, unless it passed, what was expected.
    """

    name: str
    artifact: str
    status: Status
    detail: str

    @classmethod
    def of(cls, passed: bool, name: str, artifact: str, detail: str) -> "Check":
        """Return a check that was made."""
        return cls(name, artifact, "passed" if passed else "failed", detail)

    @classmethod
    def skipped(cls, name: str, artifact: str, reason: str) -> "Check":
        """Return a check that could not be made."""
        return cls(name, artifact, "skipped", reason)


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
            return QuantPlan.from_record(json.loads((self.folder / name).read_bytes()))
        except (OSError, ValueError, EsrdeployError):
            return None

    @cached_property
    def calibrated_on(self) -> frozenset[str]:
        """Digests of the pictures that the calibration saw."""
        if self.table is None:
            return frozenset()
        return frozenset(entry["sha256"] for entry in self.table.images["patches"])


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


def check_structure(build: Build) -> Iterator[Check]:
    """Ask of each model whether it is valid ONNX with the agreed inputs and outputs."""
    scale = int(build.manifest.network["scale"])
    for item in build.manifest.models():
        model = build.models.get(item.path)
        if model is None:
            continue
        problem = _structure_problem(model, item, scale)
        yield Check.of(problem is None, "structure", item.path, problem or "valid ONNX")
        broken = list(_broken_weights(model))
        yield Check.of(not broken, "values", item.path, "; ".join(broken) or "all finite")


def _broken_weights(model: onnx.ModelProto) -> Iterator[str]:
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if not np.issubdtype(value.dtype, np.floating) or np.isfinite(value).all():
            continue
        nans, infinities = int(np.isnan(value).sum()), int(np.isinf(value).sum())
        yield (
            f"weight {tensor.name} holds {nans} NaN and {infinities} infinite of {value.size} "
            "values"
        )


def check_target_rules(build: Build) -> Iterator[Check]:
    """Ask of each int8 model whether its target can take it."""
    for item in build.manifest.models():
        model = build.models.get(item.path)
        if item.precision != "int8" or model is None:
            continue
        try:
            broken = check_rules(model, find_profile(item.target or ""))
        except EsrdeployError as error:
            yield Check.of(False, "rules", item.path, str(error))
            continue
        detail = f"keeps the rules of {item.target}"
        if broken:
            first = broken[0]
            detail = (
                f"{len(broken)} rules of {item.target} broken, the first is {first.rule} at "
                f"{first.node}: found {first.found}, expected {first.expected}"
            )
        yield Check.of(not broken, "rules", item.path, detail)


def _structure_problem(model: onnx.ModelProto, item: Artifact, scale: int) -> str | None:
    try:
        onnx.checker.check_model(model, full_check=True)
        opset = main_opset(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return f"onnx.checker refuses it: {str(error).strip().splitlines()[0]}"
    except EsrdeployError as error:
        return str(error)
    if opset != item.opset:
        return f"uses opset {opset}, the manifest records {item.opset}"
    expected = [
        ("input", [1, 3, PATCH_PX, PATCH_PX]),
        ("output", [1, 3, PATCH_PX * scale, PATCH_PX * scale]),
    ]
    found = [_signature(value) for value in (*model.graph.input, *model.graph.output)]
    if found != expected:
        return f"has inputs and outputs {found}, expected float32 {expected}"
    return None


def _signature(value: onnx.ValueInfoProto) -> tuple[str, list[int | str]]:
    """Return a graph input's name and shape; a dynamic dimension or other dtype shows as text."""
    tensor = value.type.tensor_type
    shape: list[int | str] = [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in tensor.shape.dim
    ]
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        shape.append(onnx.TensorProto.DataType.Name(tensor.elem_type))
    return value.name, shape


def check_table(build: Build) -> Iterator[Check]:
    """Ask whether the calibration table was taken on the float model that is shipped."""
    calibration = build.manifest.calibration
    if calibration is None or build.table is None:
        return
    yield Check.of(
        build.table.digest == calibration["digest"],
        "calibration digest",
        TABLE_NAME,
        f"table {build.table.digest}, the manifest records {calibration['digest']}",
    )
    if build.float_model is not None:
        digest = graph_digest(build.float_model)
        yield Check.of(
            build.table.graph_digest == digest,
            "calibrated graph",
            TABLE_NAME,
            ("" if build.table.graph_digest == digest else "stale calibration table: ")
            + f"taken on graph {build.table.graph_digest}, the float model is {digest}",
        )


def check_report(folder: Path) -> Iterator[Check]:
    """Ask whether the report in ``folder``, where there is one, shows the manifest beside it."""
    path = folder / REPORT_NAME
    if not path.is_file():
        return
    made_from = _MADE_FROM.search(path.read_bytes())
    found = "no manifest" if made_from is None else f"manifest {made_from[1].decode()}"
    expected = f"manifest {sha256_file(folder / MANIFEST_NAME)}"
    detail = f"shows {found}"
    if found != expected:
        detail += f", beside it lies {expected}: run 'esrdeploy report' again"
    yield Check.of(found == expected, "report", REPORT_NAME, detail)
