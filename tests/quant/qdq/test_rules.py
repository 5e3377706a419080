"""Every rule: our own files keep it, and a file spoilt in that one point breaks it."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from calib.errors import GraphError
from quant.plan import QuantOptions
from quant.qdq.rules import RULES, BrokenRule, RuleViolation, broken_rules, check_rules
from quant.targets import PROFILES, find_profile
from tests.quant.by_model import emit_qdq, make_plan, with_zero_points_apart

Spoil = Callable[[onnx.ModelProto], None]


def replace(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    changed = np.asarray(change(numpy_helper.to_array(tensor)))
    tensor.CopyFrom(numpy_helper.from_array(changed, name))


def node_named(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (node,) = (n for n in model.graph.node if n.name == name)
    return node


def scaled(name: str, factor: float) -> Spoil:
    return lambda model: replace(model, name, lambda a: (a * factor).astype(a.dtype))


def bypass(reader: str, slot: int, tensor: str) -> Spoil:
    """Let a node read another tensor in place of what it reads."""

    def spoil(model: onnx.ModelProto) -> None:
        node_named(model, reader).input[slot] = tensor

    return spoil


def pair_after(tensor: str, reader: str, grid: str) -> Spoil:
    """Put a pair with the parameters of ``grid`` between a tensor and one of its readers."""

    def spoil(model: onnx.ModelProto) -> None:
        parameters = [f"{grid}_scale", f"{grid}_zero_point"]
        quantize = helper.make_node("QuantizeLinear", [tensor, *parameters], ["new_q"], "new_Q")
        restore = helper.make_node("DequantizeLinear", ["new_q", *parameters], ["new_dq"], "new_DQ")
        place = list(model.graph.node).index(node_named(model, reader))
        model.graph.node.insert(place, quantize)
        model.graph.node.insert(place + 1, restore)
        node = node_named(model, reader)
        node.input[list(node.input).index(tensor)] = "new_dq"

    return spoil


def retype(tensor: str, numpy_type: type) -> Spoil:
    return lambda model: replace(model, tensor, lambda a: a.astype(numpy_type))


def float_only(model: onnx.ModelProto) -> None:
    """Undo all quantization of data: every convolution reads float."""
    for node in model.graph.node:
        if node.op_type == "Conv":
            node.input[0] = node.input[0].removesuffix("_dequantized")


def transpose_scales(model: onnx.ModelProto) -> None:
    node = node_named(model, "w1_DequantizeLinear")
    (axis,) = (a for a in node.attribute if a.name == "axis")
    axis.i = 1


def unpair_activation(model: onnx.ModelProto) -> None:
    node_named(model, "act1").input[0] = "pre1"
    for name in ("pre1_QuantizeLinear", "pre1_DequantizeLinear"):
        model.graph.node.remove(node_named(model, name))


def of_opset(version: int) -> Spoil:
    return lambda model: setattr(model.opset_import[0], "version", version)


def unstate_zero_point(model: onnx.ModelProto) -> None:
    del node_named(model, "x1_QuantizeLinear").input[2]


def cast_to_and_fro(model: onnx.ModelProto) -> None:
    """Let a convolution hand its sums on in float32, and its activation read them in fp16 again."""
    place = list(model.graph.node).index(node_named(model, "act1"))
    for number, element_type in enumerate((onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)):
        source, made = ("pre1", "wide") if not number else ("wide", "narrow")
        cast = helper.make_node("Cast", [source], [made], f"{made}_Cast", to=element_type)
        model.graph.node.insert(place + number, cast)
    node_named(model, "act1").input[0] = "narrow"


SPOILS = {
    "quantized": ("ort", {}, float_only),
    "scale": ("ort", {}, scaled("x1_scale", 0.0)),
    "scale-nan": ("ort", {}, scaled("w1_scale", float("nan"))),
    "activation-type": ("tensorrt-10", {}, retype("x1_zero_point", np.uint8)),
    "activation-zero-point": (
        "tensorrt-10",
        {},
        lambda m: replace(m, "feat_zero_point", lambda a: a + np.int8(1)),
    ),
    "minimum-range": ("qnn", {}, scaled("pre_up_scale", 1e-7)),
    "weight": (
        "ort",
        {},
        lambda m: replace(m, "w1_quantized", lambda a: np.where(a == a.min(), np.int8(-128), a)),
    ),
    "weight-type": ("ort", {}, retype("w1_quantized", np.uint8)),
    "weight-axis": ("ort", {}, transpose_scales),
    "weight-zero-point": (
        "ort",
        {},
        lambda m: replace(m, "w1_zero_point", lambda a: a + np.int8(1)),
    ),
    "bias-int32": ("ort", {}, scaled("b1_scale", 1.01)),
    "bias-float": ("tensorrt-10", {}, None),
    "convolution-output": ("ort", {}, bypass("scale", 0, "branch")),
    "pair-before-activation": ("ort", {}, unpair_activation),
    "no-pair-before-activation": ("tensorrt-10", {}, pair_after("pre1", "act1", "x1")),
    "residual-skip": ("tensorrt-10", {"trunk": "int8"}, pair_after("branch", "sum", "x1")),
    "concat-scale": ("tensorrt-10", {}, scaled("x1_scale", 1.5)),
    "every-operator": ("qnn", {}, bypass("up", 0, "trunk")),
    "opset": ("tensorrt", {}, of_opset(17)),
    "opset-later": ("tensorrt", {}, of_opset(23)),
    "half-scale": ("tensorrt", {}, retype("x1_scale", np.float32)),
    "half-scale-subnormal": ("tensorrt", {}, scaled("w1_scale", 1e-4)),
    "zero-point-stated": ("tensorrt", {}, unstate_zero_point),
    "zero-point-stated-of-one-channel": (
        "tensorrt",
        {},
        lambda m: replace(m, "w1_zero_point", lambda a: a[:1]),
    ),
    "half-values": ("tensorrt", {}, retype("b1", np.float32)),
    "casts-at-ends": ("tensorrt", {}, cast_to_and_fro),
}


def quantize_bias(model: onnx.ModelProto) -> None:
    """Put int32 codes behind DequantizeLinear in place of the float bias b1."""
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.zeros(2, np.int32), "b1_q"),
            numpy_helper.from_array(np.ones(2, np.float32), "b1_s"),
            numpy_helper.from_array(np.zeros(2, np.int32), "b1_z"),
        ]
    )
    restore = helper.make_node("DequantizeLinear", ["b1_q", "b1_s", "b1_z"], ["b1_dq"], "b1_DQ")
    restore.attribute.append(helper.make_attribute("axis", 0))
    model.graph.node.insert(0, restore)
    node_named(model, "conv1").input[2] = "b1_dq"


SPOILS["bias-float"] = ("tensorrt-10", {}, quantize_bias)


def rule_of(case: str) -> str:
    """Return the rule a case is meant to break: the longest identifier it starts with."""
    return max((r.identifier for r in RULES if case.startswith(r.identifier)), key=len)


@pytest.mark.parametrize("full_integer", [False, True], ids=["default", "full-integer"])
@pytest.mark.parametrize("target", sorted(PROFILES))
@pytest.mark.parametrize("name", ["residual", "compact"])
def test_our_files_keep_their_targets_rules(name, target, full_integer, request) -> None:
    model, table = request.getfixturevalue(name), request.getfixturevalue(f"{name}_table")
    profile = find_profile(target)
    plan = make_plan(model, table, profile, QuantOptions(full_integer=full_integer))
    assert check_rules(emit_qdq(model, plan), profile) == ()


@pytest.mark.parametrize("case", SPOILS)
def test_spoilt_file_breaks_that_rule(case, emitted) -> None:
    target, options, spoil = SPOILS[case]
    model = emitted(target, options)
    assert check_rules(model, find_profile(target)) == ()
    spoil(model)
    violations = check_rules(model, find_profile(target))
    assert rule_of(case) in {violation.rule for violation in violations}
    for violation in violations:
        assert violation.node
        assert violation.found != violation.expected


def test_every_rule_has_a_case_and_a_source() -> None:
    assert {rule.identifier for rule in RULES} == {rule_of(case) for case in SPOILS}
    assert all(rule.source for rule in RULES)
    assert all(any(rule.applies(p) for p in PROFILES.values()) for rule in RULES)


@pytest.mark.parametrize(
    ("made_for", "checked_for", "expected"),
    [
        ("ort", "tensorrt-10", {"activation-type", "activation-zero-point", "bias-float",
                                "no-pair-before-activation"}),
        ("tensorrt", "tensorrt-10", set()),
        ("tensorrt-10", "tensorrt", {"opset", "half-scale", "half-values"}),
        ("tensorrt", "ort", {"activation-type", "bias-int32", "convolution-output",
                             "pair-before-activation"}),
        ("qnn", "ort", set()),
        ("ort", "openvino", set()),
    ],
)  # fmt: skip
def test_file_of_another_target(made_for, checked_for, expected, emitted) -> None:
    violations = check_rules(emitted(made_for), find_profile(checked_for))
    assert {violation.rule for violation in violations} == expected


@pytest.mark.parametrize("apart", [False, True], ids=["alike", "zero points apart"])
def test_joined_codes_are_not_called_float(apart, residual, residual_table) -> None:
    plan = make_plan(residual, residual_table, PROFILES["ort"], QuantOptions())
    if apart:
        plan = with_zero_points_apart(plan)
    model = emit_qdq(residual, plan)
    assert check_rules(model, PROFILES["ort"]) == ()
    violations = check_rules(model, find_profile("qnn"))
    found = {v.found for v in violations if v.rule == "every-operator" and v.node == "cat"}
    end = "padded_1_1_1_1" if plan.zero_points_apart else "quantized"
    read = {f"{name}_{end} as integers" for name in ("feat", "x1")}
    assert found == {*read, "joined as integers"}


def test_float_file_breaks_the_first_rule(residual) -> None:
    for profile in PROFILES.values():
        assert "quantized" in {v.rule for v in check_rules(residual, profile)}


def test_weight_quantized_at_run_time_is_read_too(emitted, residual) -> None:
    """Other tools store the float weight and quantize it in the graph."""
    model = emitted("tensorrt-10")
    (weight,) = (t for t in residual.graph.initializer if t.name == "w1")
    values = numpy_helper.to_array(weight)
    largest = np.abs(values).max(axis=(1, 2, 3))
    model.graph.initializer.append(weight)
    replace(model, "w1_scale", lambda _: largest / np.float32(127))
    quantize = helper.make_node(
        "QuantizeLinear", ["w1", "w1_scale", "w1_zero_point"], ["w1_q"], "w1_Q"
    )
    quantize.attribute.append(helper.make_attribute("axis", 0))
    node_named(model, "w1_DequantizeLinear").input[0] = "w1_q"
    model.graph.node.insert(0, quantize)
    assert check_rules(model, find_profile("tensorrt-10")) == ()
    replace(model, "w1", lambda a: a * 1.05)
    assert {v.rule for v in check_rules(model, find_profile("tensorrt-10"))} == {"weight"}


def test_scale_computed_at_run_time_is_refused(emitted) -> None:
    model = emitted("ort")
    model.graph.node.insert(0, helper.make_node("Identity", ["x1_scale"], ["x1_moved"], "moved"))
    node_named(model, "x1_QuantizeLinear").input[1] = "x1_moved"
    with pytest.raises(GraphError, match="computed at run time"):
        check_rules(model, find_profile("ort"))


def test_violations_are_grouped_by_what_a_rule_expects() -> None:
    violations = (
        RuleViolation("a", "n1", "x", "e"),
        RuleViolation("b", "n1", "y", "e"),
        RuleViolation("a", "n2", "z", "e"),
        RuleViolation("a", "n3", "z", "e"),
        RuleViolation("a", "n4", "x", "other"),
    )
    assert broken_rules(violations) == (
        BrokenRule("a", "e", ("z", "x"), ("n1", "n2", "n3")),
        BrokenRule("b", "e", ("y",), ("n1",)),
        BrokenRule("a", "other", ("x",), ("n4",)),
    )
