"""Record what GPTQ chose in the plan, and hold a file's int8 weights against it.

Rounding takes minutes and an image set; whoever checks a file has neither. So the plan keeps a
digest of each int8 weight and bias, and a file's int8 weights are read back and held against three
things: that digest, how far they may leave the float weight (quant/rounding/gptq.py), and how far
a bias may move for their sake (bias correction), given that the input is in its quantized range.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx

from calib.arrays import AnyArray, Float32, Float64, Int8
from calib.digest import sha256_bytes
from calib.errors import GraphError
from calib.graph import GraphIndex
from calib.images_record import ImagesRecord
from quant.evidence import RoundingRecord
from quant.passes.prepared import PreparedGraph
from quant.plan import QuantPlan, WeightQuant
from quant.qdq.int8_weights import RoundedWeights, bias_codes
from quant.qdq.zero_points import bias_shift, sources
from quant.rounding.gptq import DRIFT_LIMIT, code_drift

# A moved bias is rounded to half a step of its own scale, and computed in float32 at worst.
_BIAS_SLACK = 1e-3


def record_rounding(
    prepared: PreparedGraph, rounded: RoundedWeights, images: ImagesRecord
) -> PreparedGraph:
    """Return the graph under a plan that says what was chosen for its weights, on which images.

    Args:
        prepared: the float graph under the plan that was rounded.
        rounded: int8 weights and biases.
        images: record of the images.
    """
    index, plan = prepared.index, prepared.plan
    digests = {name: _digest(index, plan.weights[name], name, rounded) for name in rounded.codes}
    record = RoundingRecord(images, digests, dict(rounded.nearest))
    return prepared.under(replace(plan, rounded=record))


def exclusive_bias(index: GraphIndex, node: onnx.NodeProto) -> str | None:
    """Return the name of a convolution's bias if it is a constant that no other node reads."""
    name = node.input[2] if len(node.input) > 2 else ""
    exclusive = index.is_constant(name) and len(index.consumers(name)) == 1
    return name if exclusive else None


def stored_weights(prepared: PreparedGraph, quantized: onnx.ModelProto) -> RoundedWeights:
    """Read the rounded weights and biases of a plan back from a QDQ file.

    Args:
        prepared: the float graph under the plan, which names the rounded weights.
        quantized: the file.

    Raises:
        GraphError: the file does not hold one of them.
    """
    index, plan, found = prepared.index, prepared.plan, GraphIndex(quantized)
    if plan.rounded is None:
        return RoundedWeights()
    codes: dict[str, Int8] = {}
    biases: dict[str, Float64] = {}
    for name in plan.rounded.digests:
        quant = _planned(plan, name)
        codes[name] = _initializer(found, f"{name}_quantized", np.int8, index.shape(name))
        bias = exclusive_bias(index, _node(index, quant, name))
        if bias is None:
            continue
        if quant.bias is None:
            value = _initializer(found, f"{bias}_refined", plan.float_type, index.shape(bias))
            biases[bias] = value.astype(np.float64)
        else:
            steps = _initializer(found, f"{bias}_quantized", np.int32, index.shape(bias))
            shift = bias_shift(index, plan, _node(index, quant, name), codes[name])
            scales = bias_scales(index, plan, quant, name)
            biases[bias] = (steps - shift).astype(np.float64) * scales
    return RoundedWeights(codes, biases, plan.rounded.nearest)


def rounding_faults(prepared: PreparedGraph, stored: RoundedWeights) -> Iterator[str]:
    """Say what is wrong with rounded weights and biases, one line per fault, by weight.

    Args:
        prepared: the float graph under the plan, with the rounding that its record states.
        stored: what the file holds, by :func:`stored_weights`.
    """
    index, plan = prepared.index, prepared.plan
    if plan.rounded is None:
        if plan.weights:
            yield "the plan does not say how its weights were rounded"
        return
    if plan.options.effort == "high" and plan.refined is None:
        yield "the plan does not say what was learned with --effort high"
    for name in sorted(plan.weights):
        told = (name in plan.rounded.digests) + (name in plan.rounded.nearest)
        if told != 1:
            yield f"weight {name} is recorded {told} times in the plan's rounding, expected once"
    for name in sorted(stored.codes):
        found, expected = _digest(index, plan.weights[name], name, stored), plan.rounded.digests
        if found != expected[name]:
            yield (
                f"weight {name}: int8 weights and bias have sha256 {found}, the plan records "
                f"{expected[name]}"
            )
        yield from _distance_faults(index, plan, name, stored)


def _distance_faults(
    index: GraphIndex, plan: QuantPlan, name: str, stored: RoundedWeights
) -> Iterator[str]:
    quant, codes = plan.weights[name], stored.codes[name]
    node, weight = _node(index, quant, name), _float_constant(index, name)
    drift = code_drift(weight, codes, quant.scale_array, quant.limits)
    worst = int(drift.argmax())
    if not drift[worst] <= DRIFT_LIMIT:
        yield (
            f"weight {name}: output channel {worst} is {drift[worst]:.3g} quantization steps "
            f"(rms) from the float weight, expected at most {DRIFT_LIMIT:g}"
        )
    bias = exclusive_bias(index, node)
    if bias is None:
        return
    original, allowed = bias_room(index, plan, name, codes)
    excess = np.abs(stored.biases[bias] - original) - allowed * (1.0 + _BIAS_SLACK)
    worst = int(excess.argmax())
    if not excess[worst] <= _BIAS_SLACK * abs(original[worst]):
        yield (
            f"bias {bias}: channel {worst} is {stored.biases[bias][worst]:.6g}, the float bias "
            f"{original[worst]:.6g}; the int8 weights explain {allowed[worst]:.3g} at most"
        )


def bias_room(
    index: GraphIndex, plan: QuantPlan, name: str, codes: Int8
) -> tuple[Float64, Float64]:
    """Return the float bias ``[O]`` beside a weight, and how far from it codes explain one.

    Args:
        index: the float graph under the plan.
        plan: with the scales of weight and input.
        name: of a weight whose bias no other node reads.
        codes: its int8 weights.
    """
    quant = plan.weights[name]
    node, weight = _node(index, quant, name), _float_constant(index, name)
    restored = codes.reshape(len(codes), -1) * quant.scale_array[:, np.newaxis]
    changed = np.abs(weight.reshape(restored.shape).astype(np.float64) - restored).sum(axis=1)
    edge = plan.edges[plan.edge_read_by(node.input[0], node.name) or ""]
    holding = sources(index, plan, node.input[0]) or (edge,)
    largest = max(abs(bound) for one in holding for bound in one.covered)
    allowed = changed * largest + edge.scale * quant.scale_array
    if plan.float_type == "float16" and quant.bias is None:
        allowed += np.finfo(np.float16).smallest_subnormal
    return _float_constant(index, exclusive_bias(index, node) or "").astype(np.float64), allowed


def _digest(index: GraphIndex, quant: WeightQuant, name: str, weights: RoundedWeights) -> str:
    bias = exclusive_bias(index, _node(index, quant, name))
    moved = b"" if bias is None else weights.biases[bias].astype("<f8").tobytes()
    return sha256_bytes(weights.codes[name].tobytes() + moved)


def _planned(plan: QuantPlan, name: str) -> WeightQuant:
    if name not in plan.weights:
        raise GraphError(f"the plan records GPTQ of {name!r}, which is none of its weights")
    return plan.weights[name]


def _node(index: GraphIndex, quant: WeightQuant, name: str) -> onnx.NodeProto:
    return next(node for node in index.consumers(name) if node.name == quant.node)


def bias_scales(index: GraphIndex, plan: QuantPlan, quant: WeightQuant, name: str) -> Float32:
    """Return float32 ``[O]``, the step of each channel of an int32 bias beside weight ``name``."""
    node = _node(index, quant, name)
    edge = plan.edges[plan.edge_read_by(node.input[0], node.name) or ""]
    scales: Float32 = np.float32(edge.scale) * quant.scale_array
    return scales


def on_stored_grid(
    index: GraphIndex, plan: QuantPlan, name: str, bias: str, values: Float64
) -> Float64:
    """Return a bias ``[O]`` as it is stored beside weight ``name``: in int32 steps, or float."""
    quant = plan.weights[name]
    if quant.bias is None:
        return values.astype(plan.float_type).astype(np.float64)
    scales = bias_scales(index, plan, quant, name)
    return bias_codes(bias, values, scales).astype(np.float64) * scales


def _float_constant(index: GraphIndex, name: str) -> Float32:
    value = index.constant(name)
    assert value is not None  # planned as one
    return value


def _initializer(
    index: GraphIndex, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...] | None
) -> AnyArray:
    value = index.initializer(name)
    if value is None:
        raise GraphError(f"the file holds no initializer {name!r}, which the plan calls for")
    if value.dtype != dtype or value.shape != shape:
        raise GraphError(
            f"initializer {name!r} is {value.dtype}{list(value.shape)}, expected "
            f"{np.dtype(dtype)}{list(shape or ())}"
        )
    return value
