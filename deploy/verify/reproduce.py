"""Rebuild the fp16 model, the plan and the int8 model, and compare them with the files.

Every step from the float model on is deterministic: the fp16 model follows from the float model,
the plan from the calibration table, the int8 model from the plan. A changed scale, zero point or
weight then has a name, even where every digest was recomputed. Weights whose rounding took minutes
are not rounded again: they are read back and held against digest and bounds
(quant/rounding/recorded_codes.py), and all around them is made again. So it is with learned scales
(quant/refinement/recorded_scales.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import onnx
from onnx import numpy_helper

from calib.arrays import AnyArray
from calib.errors import EsrdeployError
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from deploy.artifacts.build_folder import Build
from deploy.artifacts.check import Check
from deploy.artifacts.files import Artifact, plan_file_name, serialize
from deploy.diagnosis.plans import plan_faults
from deploy.diagnosis.qdq_files import model_faults
from deploy.diagnosis.weights import convolution_weights, weight_faults
from quant.fp16.convert import to_fp16
from quant.fp16.range import nodes_to_keep
from quant.passes.prepared import PreparedGraph, prepare
from quant.planner import plan_graph
from quant.qdq.emit import emit_qdq
from quant.refinement.recorded_scales import with_learned_scales
from quant.rounding.recorded_codes import rounding_faults, stored_weights
from quant.targets import find_profile

_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Reproduction:
    """What making a build's models again brought.

    Attributes:
        checks: whether each model and plan is what was made.
        prepared: by int8 file, the float graph under the plan that lies beside it.
        fp16_kept: nodes that the fp16 model has to compute in float32, with the reason; ``None``
            where that cannot be said.
    """

    checks: tuple[Check, ...]
    prepared: Mapping[str, PreparedGraph]
    fp16_kept: Mapping[str, str] | None


def reproduce(
    build: Build, planned: Mapping[str, PreparedGraph] = MappingProxyType({})
) -> Reproduction:
    """Make each fp16 and int8 model again and compare it with the file.

    Args:
        build: the files.
        planned: by int8 file, the float graph under the plan that it was made from in this
            process. A plan follows from network, table and options alone, so one that was made
            of those in the files is compared with the file as it is; any other is made again.
    """
    checks: list[Check] = []
    prepared: dict[str, PreparedGraph] = {}
    kept: Mapping[str, str] | None = None
    for item in build.manifest.models():
        if item.precision == "fp32" or item.path not in build.models:
            continue
        graph, table = build.float_graph, build.table
        if graph is None or table is None:
            reason = "the float model or the calibration table it rests on is not intact"
            checks.append(Check.skipped("derivation", item.path, reason))
            continue
        try:
            if item.precision == "fp16":
                asked = build.manifest.options.fp16_keep
                kept = nodes_to_keep(graph.model, table, asked)
                expected = to_fp16(graph.model, table, keep=kept)
                checks.append(_same_model(item, expected, build.models[item.path]))
            elif item.path not in build.plans:
                reason = "the plan it follows is not intact"
                checks.append(Check.skipped("derivation", item.path, reason))
            else:
                made = planned.get(item.path)
                if made is None or not _is_of(made, graph, table):
                    made = _plan_again(build, item, graph, table)
                checks += _check_quantized(build, item, made)
                plan = build.plans[item.path]
                prepared[item.path] = made if made.plan == plan else prepare(graph, plan)
        except EsrdeployError as error:
            checks.append(Check.of(False, "derivation", item.path, str(error)))
    return Reproduction(tuple(checks), prepared, kept)


def _is_of(planned: PreparedGraph, graph: GraphIndex, table: CalibrationTable) -> bool:
    """Tell whether a plan was made of this network and table."""
    made_of = (planned.source.network_digest, planned.plan.table_digest)
    return made_of == (graph.network_digest, table.digest)


def _plan_again(
    build: Build, item: Artifact, graph: GraphIndex, table: CalibrationTable
) -> PreparedGraph:
    """Return the graph under the plan that the build's options give, with what it states itself.

    That is how weights were rounded, how rewrites were proven and which scales were learned.

    Raises:
        GraphError: it states scales that cannot have been learned.
    """
    target = item.target or ""
    options = build.manifest.options.quantization_for(target)
    planned = plan_graph(graph, table, find_profile(target), options)
    found = build.plans[item.path]
    if options.effort == "high" and found.refined is not None:
        scales = {name: quant.scale_array for name, quant in found.weights.items()}
        planned = with_learned_scales(planned, table, found.refined, scales)
    rounded = found.rounded if options.rounding == "gptq" else None
    return planned.under(replace(planned.plan, rounded=rounded, proofs=found.proofs))


def _check_quantized(build: Build, item: Artifact, planned: PreparedGraph) -> Iterator[Check]:
    expected, found = planned.plan, build.plans[item.path]
    name = plan_file_name(build.manifest.stem, item.target or "")
    differences = list(_record_differences("", expected.to_record(), found.to_record()))
    if differences:
        differences = [*plan_faults(expected, found), *differences]
    yield _verdict("plan", name, differences, "follows from the calibration table")
    quantized = build.models[item.path]
    try:
        stored = stored_weights(planned, quantized)
    except EsrdeployError as error:
        nearest = emit_qdq(planned.under(replace(expected, rounded=None)))
        faults = [*model_faults(nearest, quantized), str(error)]
        yield _verdict("derivation", item.path, faults, "")
        return
    if expected.options.rounding == "gptq":
        faults = list(rounding_faults(planned, stored))
        if faults:
            # Weights are not rounded again, so what was done to them shows against the float ones.
            floats = convolution_weights(planned.source.model)
            faults = [*weight_faults(floats, convolution_weights(quantized)), *faults]
        good = "every weight is the one that the plan records, and near its float weight"
        yield _verdict("rounding", item.path, faults, good)
    yield _same_model(item, emit_qdq(planned, stored), quantized)


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


def _array_difference(expected: AnyArray, found: AnyArray) -> str:
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
