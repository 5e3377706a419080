"""Check the files of a build against its manifest, one :class:`Check` per question asked of them.

Nothing here runs a network. A check that fails says what was found and what was expected; a
check that cannot be made is ``skipped`` with its reason, never silently passed.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from calib.digest import sha256_file
from calib.errors import EsrdeployError
from calib.files import read_whole
from calib.form import Form
from calib.graph import form_of
from calib.images_record import ImagesSummary
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import (
    MANIFEST_NAME,
    PARITY_NAME,
    REPORT_NAME,
    TABLE_NAME,
    Artifact,
    main_opset,
    serialize,
)
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.network_record import NetworkRecord
from deploy.artifacts.parity_record import ParityRecord
from deploy.metrics.parity import ParityResult
from deploy.metrics.thresholds import threshold_of
from deploy.network.macs import complexity
from quant.passes.forms.form import in_form
from quant.qdq.rules import check_rules
from quant.targets import find_profile

_MADE_FROM = re.compile(rb'<meta name="esrdeploy-manifest" content="([0-9a-f]{64})">')


def check_structure(build: Build) -> Iterator[Check]:
    """Ask of each model whether it is valid ONNX with the agreed inputs and outputs."""
    network = build.manifest.network
    for item in build.manifest.models():
        model = build.files.get(item.path)
        if model is None:
            continue
        problem = _structure_problem(model, build.models[item.path], item, network)
        yield Check.of(problem is None, "structure", item.path, problem or "valid ONNX")


def check_values(build: Build) -> Iterator[Check]:
    """Ask of each model whether every weight is a number."""
    for name, model in build.models.items():
        broken = list(_broken_weights(model))
        yield Check.of(not broken, "values", name, "; ".join(broken) or "all finite")


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


def check_network(build: Build) -> Iterator[Check]:
    """Ask whether the float model has the sizes that the manifest records."""
    if build.float_model is None:
        return
    recorded, artifact = build.manifest.network, build.manifest.float_artifact.path
    try:
        found = complexity(build.float_model)
    except EsrdeployError as error:
        yield Check.of(False, "network", artifact, str(error))
        return
    same = (found.parameters, found.macs) == (recorded.parameters, recorded.macs)
    detail = f"{found.parameters} parameters, {found.macs} multiply-accumulates"
    if not same:
        detail += f"; the manifest records {recorded.parameters} and {recorded.macs}"
    yield Check.of(same, "network", artifact, detail)


def check_target_rules(build: Build) -> Iterator[Check]:
    """Ask of each int8 model whether its target can take it."""
    for item in build.manifest.models():
        model = build.files.get(item.path)
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


def _structure_problem(
    model: onnx.ModelProto, usual: onnx.ModelProto, item: Artifact, network: NetworkRecord
) -> str | None:
    """Say what is wrong with a file, which in the usual form of pictures is ``usual``."""
    try:
        onnx.checker.check_model(model, full_check=True)
        opset = main_opset(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return f"onnx.checker refuses it: {str(error).strip().splitlines()[0]}"
    except EsrdeployError as error:
        return str(error)
    if opset != item.opset:
        return f"uses opset {opset}, the manifest records {item.opset}"
    form = network.form
    bytes_taken = ["UINT8"] if form.values == "uint8" else []
    expected = [
        ("input", [*form.shape(network.tile.shape), *bytes_taken]),
        ("output", [*form.shape(network.output_shape)]),
    ]
    found = [_signature(value) for value in (*model.graph.input, *model.graph.output)]
    if found != expected:
        return f"has inputs and outputs {found}, expected float32 {expected}"
    return _form_problem(model, usual, form)


def _form_problem(model: onnx.ModelProto, usual: onnx.ModelProto, form: Form) -> str | None:
    found = form_of(model)
    if found != form:
        return f"takes pictures as {found} by its metadata, the manifest records {form}"
    if form.usual:
        return None
    try:
        again = in_form(usual, form)
    except EsrdeployError as error:
        return f"its network cannot be written for {form}: {error}"
    same = serialize(again) == serialize(model)
    return None if same else f"is not what writing its network for {form} gives"


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
        build.table.digest == calibration.digest,
        "calibration digest",
        TABLE_NAME,
        f"table {build.table.digest}, the manifest records {calibration.digest}",
    )
    found, recorded = build.table.images.summary, calibration.images
    if found != recorded:
        detail = f"made from {_spelled(found)}, the manifest records {_spelled(recorded)}"
        yield Check.of(False, "calibration images", TABLE_NAME, detail)
    if build.float_graph is not None:
        digest = build.float_graph.network_digest
        yield Check.of(
            build.table.network_digest == digest,
            "calibrated graph",
            TABLE_NAME,
            ("" if build.table.network_digest == digest else "stale calibration table: ")
            + f"taken on network {build.table.network_digest}, the float model is {digest}",
        )


def check_parity(build: Build) -> Iterator[Check]:
    """Ask whether the parity figures follow from the pictures', and the manifest repeats them."""
    if build.parity is None:
        return
    faults = [
        f"the figures of {name} do not follow from its pictures and thresholds"
        for name, record in build.parity.artifacts.items()
        if not _follows(name, record, build.manifest)
    ]
    if build.parity.figures != build.manifest.parity:
        faults.append("the manifest holds other figures")
    options = build.manifest.options
    if options.judged(build.manifest.joint_db(build.parity)) != options:
        faults.append("the manifest holds another parity of a budget")
    detail = "; ".join(faults) + "; build again" if faults else "follows from its pictures"
    yield Check.of(not faults, "parity figures", PARITY_NAME, detail)


def _follows(name: str, record: ParityRecord, manifest: Manifest) -> bool:
    item = manifest.artifact(name)
    if not record.per_image or item is None or item.precision is None:
        return False
    threshold = threshold_of(item.precision, manifest.network.output)
    return ParityResult(name, record.reference, threshold, record.per_image).record() == record


def check_report(folder: Path) -> Iterator[Check]:
    """Ask whether the report in ``folder``, where there is one, shows the manifest beside it."""
    path = folder / REPORT_NAME
    if not path.is_file():
        return
    made_from = _MADE_FROM.search(read_whole(path))
    found = "no manifest" if made_from is None else f"manifest {made_from[1].decode()}"
    expected = f"manifest {sha256_file(folder / MANIFEST_NAME)}"
    detail = f"shows {found}"
    if found != expected:
        detail += f", beside it lies {expected}: run 'esrdeploy report' again"
    yield Check.of(found == expected, "report", REPORT_NAME, detail)


def _spelled(images: ImagesSummary) -> str:
    return (
        f"{images.count} images of {images.size} and digest {images.digest} ({images.origin}, "
        f"{images.mode})"
    )
