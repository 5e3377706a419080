"""Find every place where a QDQ graph breaks the rules of a target.

A rule is a function that yields violations, with an identifier, the condition on the profile
under which it holds, and where it comes from. Rules ask the profile's data only, so a new target
is checked without a new rule.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from calib.graph import GraphIndex
from quant.analysis.topology import ACTIVATIONS
from quant.numerics.affine import WEIGHT_LIMIT
from quant.qdq.view import QdqView, QuantParams
from quant.targets import TargetProfile

# Scales are float32: a product of two may be rounded once more by the tool that stored it.
_SCALE_TOLERANCE = 2e-6


@dataclass(frozen=True)
class RuleViolation:
    """One place where a graph breaks a rule.

    Attributes:
        rule: the rule's identifier.
        node: the node that breaks it.
        found: what is there.
        expected: what the target takes.
    """

    rule: str
    node: str
    found: str
    expected: str


Finding = tuple[str, str, str]
"""Node, found, expected."""


@dataclass(frozen=True)
class Rule:
    """A rule of quantized graphs.

    Attributes:
        identifier: short name, as shown to the user.
        source: where the rule comes from.
        applies: tells whether a target has this rule.
        check: yields the places that break it.
    """

    identifier: str
    source: str
    applies: Callable[[TargetProfile], bool]
    check: Callable[[QdqView, TargetProfile], Iterator[Finding]]


def check_rules(model: onnx.ModelProto, profile: TargetProfile) -> tuple[RuleViolation, ...]:
    """Return every violation of the target's rules, rule by rule in graph order.

    Args:
        model: a QDQ graph of any origin.
        profile: the target.

    Raises:
        GraphError: the graph is malformed, or a scale is no constant.
    """
    view = QdqView(GraphIndex(model))
    return tuple(
        RuleViolation(rule.identifier, *finding)
        for rule in RULES
        if rule.applies(profile)
        for finding in rule.check(view, profile)
    )


def _quantized(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    if not any(True for _ in view.integer_convolutions()):
        yield view.index.model.graph.name, "no convolution of quantized data", "a QDQ graph"


def _scale(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node in view.index.nodes:
        if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            continue
        scale = view.index.constant(node.input[1])
        if scale is not None and not (np.isfinite(scale) & (scale > 0)).all():
            yield node.name, f"scale {scale.min():g}", "positive, finite scales"


def _activation_type(view: QdqView, profile: TargetProfile) -> Iterator[Finding]:
    allowed = [name for _, name in profile.integers]
    for quantizer in view.quantizers:
        if quantizer.dtype not in allowed or not quantizer.per_tensor:
            shape = "" if quantizer.per_tensor else " per channel"
            yield quantizer.node.name, quantizer.dtype + shape, f"{' or '.join(allowed)} per tensor"


def _zero_point(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for quantizer in view.quantizers:
        if quantizer.zero_point.any():
            yield quantizer.node.name, f"zero point {quantizer.zero_point.max()}", "zero point 0"


def _minimum_range(view: QdqView, profile: TargetProfile) -> Iterator[Finding]:
    for quantizer in view.quantizers:
        if quantizer.integer is None:
            continue
        width = float(quantizer.scale.max()) * quantizer.integer.span
        if width < profile.minimum_range * (1.0 - _SCALE_TOLERANCE):
            yield (
                quantizer.node.name,
                f"range {width:g} wide",
                f"at least {profile.minimum_range:g}",
            )


def _weight(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node, _data, weight in view.integer_convolutions():
        codes = view.codes(node.input[1])
        if codes is None or codes.dtype != np.int8:
            found = "computed" if codes is None else str(codes.dtype)
            yield node.name, f"{found} weight", "int8 weight"
            continue
        if weight.scale.size != codes.shape[0] or (not weight.per_tensor and weight.axis != 0):
            yield (
                node.name,
                f"{weight.scale.size} weight scales on axis {weight.axis}",
                f"{codes.shape[0]} scales, one per output channel, on axis 0",
            )
        if weight.zero_point.any():
            yield node.name, f"weight zero point {weight.zero_point.max()}", "zero point 0"
        if codes.min() < -WEIGHT_LIMIT:
            yield node.name, f"int8 weight {codes.min()}", "int8 weights in [-127, 127]"


def _bias_int32(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node, data, weight in view.integer_convolutions():
        if len(node.input) < 3 or not node.input[2]:
            continue
        bias = view.dequantizer(node.input[2])
        if bias is None or bias.dtype != "int32":
            found = "float" if bias is None else bias.dtype
            yield node.name, f"{found} bias", "int32 bias"
            continue
        expected = data.scale.reshape(-1)[0] * weight.scale.reshape(-1)
        if bias.scale.size != expected.size or not np.allclose(
            bias.scale.reshape(-1), expected, rtol=_SCALE_TOLERANCE, atol=0.0
        ):
            yield (
                node.name,
                f"bias scale {bias.scale.reshape(-1)[0]:g}",
                f"input scale * weight scale, {expected[0]:g}",
            )


def _bias_float(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node, *_parameters in view.integer_convolutions():
        bias = view.dequantizer(node.input[2]) if len(node.input) > 2 else None
        if bias is not None:
            yield node.name, f"{bias.dtype} bias", "float bias without QDQ"


def _convolution_output(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node, *_parameters in view.integer_convolutions():
        output = node.output[0]
        readers = [reader.op_type for reader in view.readers(output)]
        if readers != ["QuantizeLinear"] or output in view.index.outputs:
            seen = ["the graph output"] if output in view.index.outputs else []
            found = ", ".join([*readers, *seen]) or "nothing"
            yield node.name, f"output read by {found}", "one QuantizeLinear as the only reader"


def _pair_before_activation(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node, *_parameters in view.integer_convolutions():
        behind = view.activation_behind(node, ACTIVATIONS)
        if behind is not None and not behind[1]:
            yield behind[0].name, f"no QDQ pair behind {node.name}", "one before the activation"


def _no_pair_before_activation(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node, *_parameters in view.integer_convolutions():
        behind = view.activation_behind(node, ACTIVATIONS)
        if behind is not None and behind[1]:
            yield behind[0].name, f"a QDQ pair behind {node.name}", "none before the activation"


def _residual_skip(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node in view.operators:
        if node.op_type != "Add" or any(view.is_constant(name) for name in node.input):
            continue
        if all(view.dequantizer(name) is not None for name in node.input):
            yield node.name, "a QDQ pair on both inputs", "at most one, on the skip connection"


def _concat_scale(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node in view.operators:
        if node.op_type != "Concat":
            continue
        grids: list[QuantParams | None] = [view.dequantizer(name) for name in node.input]
        grids.append(view.output_quantizer(node.output[0]))
        known = [grid for grid in grids if grid is not None]
        if known and (
            len(known) != len(grids) or not all(known[0].same_grid(grid) for grid in known)
        ):
            scales = sorted({f"{float(grid.scale.max()):g}" for grid in known})
            missing = len(grids) - len(known)
            found = f"scales {', '.join(scales)}" + (f", {missing} in float" if missing else "")
            yield node.name, found, "one scale and zero point on all inputs and the output"


def _every_operator(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    for node in view.operators:
        for slot, name in enumerate(node.input):
            shape_operand = slot > 0 and node.op_type in {"Resize", "Reshape"}
            if name and not shape_operand and view.dequantizer(name) is None:
                yield node.name, f"{name} {_form(view, name)}", "every operand dequantized"
        for name in node.output:
            if view.output_quantizer(name) is None:
                yield node.name, f"{name} {_form(view, name)}", "every result quantized"


def _form(view: QdqView, tensor: str) -> str:
    return "as integers" if view.holds_codes(tensor) else "in float"


def _always(_: TargetProfile) -> bool:
    return True


RULES = (
    Rule("quantized", "a float file keeps every rule by having nothing", _always, _quantized),
    Rule("scale", "ONNX QuantizeLinear", _always, _scale),
    Rule(
        "activation-type",
        "activation types of the profile (quant/targets.py)",
        _always,
        _activation_type,
    ),
    Rule(
        "activation-zero-point",
        "TensorRT issues 2774, 4698",
        lambda profile: profile.symmetric,
        _zero_point,
    ),
    Rule(
        "minimum-range",
        "QNN refuses near-empty ranges: minimum 1e-4",
        lambda profile: profile.minimum_range > 0.0,
        _minimum_range,
    ),
    Rule(
        "weight", "TensorRT, LiteRT, QNN: symmetric int8 per channel, [-127, 127]", _always, _weight
    ),
    Rule(
        "bias-int32",
        "onnxruntime qdq_selectors.cc, ConvNodeGroupSelector; QNN Conv2d",
        lambda profile: profile.bias == "int32",
        _bias_int32,
    ),
    Rule(
        "bias-float",
        "TensorRT, explicit quantization: bias is not quantized",
        lambda profile: profile.bias == "float",
        _bias_float,
    ),
    Rule(
        "convolution-output",
        "onnxruntime qdq_selectors.cc, NodeGroupSelector::CheckQDQNodes",
        lambda profile: profile.convolution_output_pair,
        _convolution_output,
    ),
    Rule(
        "pair-before-activation",
        "onnxruntime ConvActivationFusion makes a float FusedConv; QNN v66 to v69",
        lambda profile: profile.pair_before_activation == "needed",
        _pair_before_activation,
    ),
    Rule(
        "no-pair-before-activation",
        "TensorRT issue 2134",
        lambda profile: profile.pair_before_activation == "refused",
        _no_pair_before_activation,
    ),
    Rule(
        "residual-skip",
        "TensorRT, explicit quantization: residual additions",
        lambda profile: profile.residual_edges == "skip",
        _residual_skip,
    ),
    Rule(
        "concat-scale",
        "TensorRT issues 3861, 4366",
        lambda profile: profile.concat_shared_scale,
        _concat_scale,
    ),
    Rule(
        "every-operator",
        "QNN HTP: an integer graph quantizes every operator in and out",
        lambda profile: profile.every_operator,
        _every_operator,
    ),
)
