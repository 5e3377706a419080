"""Find every place where a QDQ graph breaks the rules of a target.

A rule is a function that yields violations, with an identifier, the condition on the profile
under which it holds, and where it comes from. Rules ask the profile's data only, so a new target
is checked without a new rule.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import onnx

from calib.graph import GraphIndex
from quant.qdq import rule_checks, typed_rules
from quant.qdq.rule_checks import Finding
from quant.qdq.view import QdqView
from quant.targets import TargetProfile


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


@dataclass(frozen=True)
class BrokenRule:
    """All places where a graph breaks a rule in the same way.

    Attributes:
        rule: the rule's identifier.
        expected: what the target takes.
        found: what is there instead, each once, the most frequent first.
        nodes: the nodes that break it, in graph order.
    """

    rule: str
    expected: str
    found: tuple[str, ...]
    nodes: tuple[str, ...]


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


def broken_rules(violations: Iterable[RuleViolation]) -> tuple[BrokenRule, ...]:
    """Group violations by rule and by what it expects, in the order of their first place."""
    groups: dict[tuple[str, str], list[RuleViolation]] = {}
    for item in violations:
        groups.setdefault((item.rule, item.expected), []).append(item)
    return tuple(
        BrokenRule(
            rule,
            expected,
            tuple(found for found, _ in Counter(item.found for item in group).most_common()),
            tuple(item.node for item in group),
        )
        for (rule, expected), group in groups.items()
    )


def _always(_: TargetProfile) -> bool:
    return True


def _typed(profile: TargetProfile) -> bool:
    return profile.float_type == "float16"


RULES = (
    Rule(
        "quantized",
        "a float file keeps every rule by having nothing",
        _always,
        rule_checks.quantized_found,
    ),
    Rule("scale", "ONNX QuantizeLinear", _always, rule_checks.scale_found),
    Rule(
        "activation-type",
        "activation types of the profile (quant/targets.py)",
        _always,
        rule_checks.activation_type,
    ),
    Rule(
        "activation-zero-point",
        "TensorRT issues 2774, 4698",
        lambda profile: profile.symmetric,
        rule_checks.zero_point_found,
    ),
    Rule(
        "minimum-range",
        "QNN refuses near-empty ranges: minimum 1e-4",
        lambda profile: profile.minimum_range > 0.0,
        rule_checks.minimum_range,
    ),
    Rule(
        "weight",
        "TensorRT, LiteRT, QNN: symmetric int8 per channel, [-127, 127]",
        _always,
        rule_checks.weight_found,
    ),
    Rule(
        "bias-int32",
        "onnxruntime qdq_selectors.cc, ConvNodeGroupSelector; QNN Conv2d",
        lambda profile: profile.bias == "int32",
        rule_checks.bias_int32,
    ),
    Rule(
        "bias-float",
        "TensorRT, explicit quantization: bias is not quantized",
        lambda profile: profile.bias == "float",
        rule_checks.bias_float,
    ),
    Rule(
        "convolution-output",
        "onnxruntime qdq_selectors.cc, NodeGroupSelector::CheckQDQNodes",
        lambda profile: profile.convolution_output_pair,
        rule_checks.convolution_output,
    ),
    Rule(
        "pair-before-activation",
        "onnxruntime ConvActivationFusion makes a float FusedConv; QNN v66 to v69",
        lambda profile: profile.pair_before_activation == "needed",
        rule_checks.pair_before_activation,
    ),
    Rule(
        "no-pair-before-activation",
        "TensorRT issue 2134",
        lambda profile: profile.pair_before_activation == "refused",
        rule_checks.no_pair_before_activation,
    ),
    Rule(
        "residual-skip",
        "TensorRT, explicit quantization: residual additions",
        lambda profile: profile.residual_edges == "skip",
        rule_checks.residual_skip,
    ),
    Rule(
        "concat-scale",
        "TensorRT issues 3861, 4366",
        lambda profile: profile.concat_shared_scale,
        rule_checks.concat_scale,
    ),
    Rule(
        "every-operator",
        "QNN HTP: an integer graph quantizes every operator in and out",
        lambda profile: profile.every_operator,
        rule_checks.every_operator,
    ),
    Rule(
        "opset",
        "ONNX QuantizeLinear: fp16 scales from 19 on; onnxruntime and qairt-converter: up to 21",
        _typed,
        typed_rules.opset_found,
    ),
    Rule(
        "half-scale",
        "ONNX QuantizeLinear: a scale has the type of the data",
        _typed,
        typed_rules.half_scales_found,
    ),
    Rule(
        "zero-point-stated",
        "ONNX QuantizeLinear: without a zero point codes are uint8",
        _typed,
        typed_rules.zero_points_stated,
    ),
    Rule(
        "half-values",
        "TensorRT, strong typing: layers compute in the types of the graph, nothing is cast",
        _typed,
        typed_rules.half_values,
    ),
    Rule(
        "casts-at-ends",
        "TensorRT, explicit quantization: what stands between a pair and its operator is not fused",
        _typed,
        typed_rules.casts_at_ends,
    ),
)
