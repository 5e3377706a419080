"""A build in, whether its fp16 and int8 models follow from what they claim to be made of out.

Every step from the float model on is deterministic, so it is made again and compared: the fp16
model from the float model, the plan from the calibration table, the int8 model from the plan.
A changed scale, zero point or weight then has a name, even where every digest was recomputed.
Weights whose rounding took minutes are not rounded again: their codes are read back and held
against digest and bounds (quant/rounding/recorded_codes.py), and all around them is made again.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from calib.errors import EsrdeployError
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import Artifact, plan_file_name, serialize
from deploy.diagnosis.plans import plan_faults
from deploy.diagnosis.qdq_files import model_faults
from deploy.diagnosis.weights import convolution_weights, weight_faults
from quant.fp16.convert import to_fp16
from quant.fp16.range import nodes_to_keep
from quant.plan import QuantPlan
from quant.planner import make_plan
from quant.qdq.emit import emit_qdq
from quant.rounding.recorded_codes import rounding_faults, stored_weights
from quant.targets import find_profile

_SHOWN = 3

Array = np.ndarray[Any, np.dtype[Any]]


def check_derivation(build: Build) -> Iterator[Check]:
    """Make each fp16 and int8 model again and compare it with the file."""
    for item in build.manifest.models():
        if item.precision == "fp32" or item.path not in build.models:
            continue
        if build.float_model is None or build.table is None:
            reason = "the float model or the calibration table it rests on is not intact"
            yield Check.skipped("derivation", item.path, reason)
            continue
        try:
            if item.precision == "fp16":
                asked = build.manifest.options.fp16_keep
                kept = nodes_to_keep(build.float_model, build.table, asked)
                expected = to_fp16(build.float_model, build.table, keep=kept)
                yield _same_model(item, expected, build.models[item.path])
            else:
                yield from _check_quantized(build, item)
        except EsrdeployError as error:
            yield Check.of(False, "derivation", item.path, str(error))


def _check_quantized(build: Build, item: Artifact) -> Iterator[Check]:
    assert build.float_model is not None
    assert build.table is not None
    profile = find_profile(item.target or "")
    options = build.manifest.options.quantization_for(item.target or "")
    expected = make_plan(build.float_model, build.table, profile, options)
    name = plan_file_name(build.manifest.model, item.target or "")
    try:
        plan = QuantPlan.parse((build.folder / name).read_bytes(), name)
        rounded = plan.rounded if options.rounding == "gptq" else None
        expected = replace(expected, rounded=rounded, proofs=plan.proofs)
    except (OSError, EsrdeployError) as error:
        yield Check.of(False, "plan", name, f"cannot be read: {error}")
        return
    differences = list(_record_differences("", expected.to_record(), plan.to_record()))
    if differences:
        differences = [*plan_faults(expected, plan), *differences]
    yield _verdict("plan", name, differences, "follows from the calibration table")
    quantized = build.models[item.path]
    try:
        stored = stored_weights(build.float_model, expected, quantized)
    except EsrdeployError as error:
        nearest = emit_qdq(build.float_model, replace(expected, rounded=None))
        faults = [*model_faults(nearest, quantized), str(error)]
        yield _verdict("derivation", item.path, faults, "")
        return
    if options.rounding == "gptq":
        faults = list(rounding_faults(build.float_model, expected, stored))
        if faults:
            # Codes are not made again, so what was done to them shows against the float weights.
            floats = convolution_weights(build.float_model)
            faults = [*weight_faults(floats, convolution_weights(quantized)), *faults]
        good = "every weight is the one that the plan records, and near its float weight"
        yield _verdict("rounding", item.path, faults, good)
    yield _same_model(item, emit_qdq(build.float_model, expected, stored), quantized)


def _record_differences(path: str, expected: object, found: object) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            yield from _record_differences(f"{path}/{key}", expected.get(key), found.get(key))
    elif isinstance(expected, (list, tuple)) and isinstance(found, (list, tuple)):
        if len(expected) != len(found):
            yield f"{path} has {len(found)} entries, expected {len(expected)}"
            return
        for position, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from _record_differences(f"{path}/{position}", left, right)
    elif expected != found:
        yield f"{path} is {found}, expected {expected}"


def _same_model(item: Artifact, expected: onnx.ModelProto, found: onnx.ModelProto) -> Check:
    differences = []
    if serialize(expected) != serialize(found):
        differences = [*model_faults(expected, found), *model_differences(expected, found)]
    return _verdict("derivation", item.path, differences, "follows from the float model")


def model_differences(expected: onnx.ModelProto, found: onnx.ModelProto) -> list[str]:
    """Say in which initializers and nodes two models differ.

    Args:
        expected: the model made again.
        found: the model in the file.

    Returns:
        One line per difference; never empty for models whose serializations differ.
    """
    lines = [*_initializer_differences(expected.graph, found.graph)]
    nodes = {node.name: node for node in expected.graph.node}
    others = {node.name: node for node in found.graph.node}
    for name in sorted({*nodes, *others}):
        if nodes.get(name) != others.get(name):
            where = "is not expected" if name not in nodes else "is missing or differs"
            lines.append(f"node {name} {where}")
    return lines or ["its serialization differs outside nodes and initializers"]


def _initializer_differences(expected: onnx.GraphProto, found: onnx.GraphProto) -> Iterator[str]:
    lefts = {tensor.name: tensor for tensor in expected.initializer}
    rights = {tensor.name: tensor for tensor in found.initializer}
    for name in sorted({*lefts, *rights}):
        if name not in lefts or name not in rights:
            yield f"tensor {name} is {'missing' if name in lefts else 'not expected'}"
        elif lefts[name] != rights[name]:
            left = numpy_helper.to_array(lefts[name])
            right = numpy_helper.to_array(rights[name])
            yield f"tensor {name} {_array_difference(left, right)}"


def _array_difference(expected: Array, found: Array) -> str:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return (
            f"is {found.dtype}{list(found.shape)}, expected {expected.dtype}{list(expected.shape)}"
        )
    differs = np.flatnonzero(expected.reshape(-1) != found.reshape(-1))
    if not differs.size:
        return "differs in NaN or in the sign of zero"
    first = int(differs[0])
    return (
        f"differs in {differs.size} of {expected.size} values, the first is "
        f"{found.reshape(-1)[first]}, expected {expected.reshape(-1)[first]}"
    )


def _verdict(name: str, artifact: str, differences: list[str], good: str) -> Check:
    if not differences:
        return Check.of(True, name, artifact, good)
    more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return Check.of(False, name, artifact, "; ".join(differences[:_SHOWN]) + more)
