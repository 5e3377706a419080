"""The quant package as tests call it: by float model and plan, each call preparing the graph."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from calib.graph import GraphIndex
from calib.images_record import ImagesRecord
from calib.table import CalibrationTable
from quant import planner, sensitivity
from quant.passes import prepared
from quant.passes.driver import prove_rewrites
from quant.passes.equivalence import Equivalence, Probe
from quant.passes.prepared import PreparedGraph
from quant.passes.rescale import Equalized
from quant.plan import QuantOptions, QuantPlan
from quant.qdq import emit
from quant.qdq.int8_weights import RoundedWeights
from quant.rounding import recorded_codes
from quant.rounding import round_weights as rounding
from quant.sensitivity import Sensitivity
from quant.targets import TargetProfile


def prepare(model: onnx.ModelProto, plan: QuantPlan) -> PreparedGraph:
    return prepared.prepare(GraphIndex(model), plan)


def make_plan(
    model: onnx.ModelProto, table: CalibrationTable, profile: TargetProfile, options: QuantOptions
) -> QuantPlan:
    return planner.plan_graph(GraphIndex(model), table, profile, options).plan


def with_zero_points_apart(plan: QuantPlan) -> QuantPlan:
    """Return a plan of the residual graph in which ``x1`` has another zero point than ``feat``."""
    moved = replace(plan.edges["x1"], zero_point=plan.edges["feat"].zero_point // 2)
    return replace(
        plan,
        edges={**plan.edges, "x1": moved},
        integer_concats=("cat",),
        zero_points_apart=("cat",),
    )


def emit_qdq(
    model: onnx.ModelProto, plan: QuantPlan, weights: RoundedWeights | None = None
) -> onnx.ModelProto:
    return emit.emit_qdq(prepare(model, plan), weights)


def round_weights(
    model: onnx.ModelProto,
    plan: QuantPlan,
    table: CalibrationTable,
    inputs: Sequence[np.ndarray],
    **options: Any,
) -> RoundedWeights:
    return rounding.round_weights(prepare(model, plan), table, inputs, **options)


def record_rounding(
    model: onnx.ModelProto, plan: QuantPlan, weights: RoundedWeights, images: ImagesRecord
) -> QuantPlan:
    return recorded_codes.record_rounding(prepare(model, plan), weights, images).plan


def stored_weights(
    model: onnx.ModelProto, plan: QuantPlan, quantized: onnx.ModelProto
) -> RoundedWeights:
    return recorded_codes.stored_weights(prepare(model, plan), quantized)


def rounding_faults(model: onnx.ModelProto, plan: QuantPlan, weights: RoundedWeights) -> list[str]:
    return list(recorded_codes.rounding_faults(prepare(model, plan), weights))


def equalized_model(model: onnx.ModelProto, plan: QuantPlan) -> onnx.ModelProto:
    return prepare(model, plan).model


def prove_equal(
    before: onnx.ModelProto, after: onnx.ModelProto, inputs: Sequence[np.ndarray]
) -> Equivalence:
    (proof,) = prove_rewrites(before, {"tested": after}, list(map(Probe, inputs)))
    return proof.equivalence


def equalized(model: onnx.ModelProto, plan: QuantPlan) -> Equalized:
    return prepare(model, plan).equalized


def measure_sensitivity(
    model: onnx.ModelProto,
    plan: QuantPlan,
    weights: RoundedWeights,
    inputs: Sequence[np.ndarray],
    **options: Any,
) -> Sensitivity:
    return sensitivity.measure_sensitivity(prepare(model, plan), weights, inputs, **options)


def quantized_parity_db(
    model: onnx.ModelProto, plan: QuantPlan, weights: RoundedWeights, inputs: Sequence[np.ndarray]
) -> float:
    return sensitivity.quantized_parity_db(model, emit_qdq(model, plan, weights), inputs)
