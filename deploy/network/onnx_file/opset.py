"""Spell a graph with the operators of one opset, up or down, without changing what it computes.

Up goes onnx's own version converter. Down it lacks most of what pictures pass through, so each
operator is looked at here: what newer opsets only allow more types for is the same node; attributes
that say what was always done are left out; axes and sizes that became inputs become attributes, or
are stated, again. What means something new has no older spelling and is refused by name.

The result is proven against the file by whoever asks for it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper

from calib.errors import GraphError
from calib.graph import GraphIndex, attribute_of
from deploy.artifacts.files import main_opset

_ALWAYS_DONE: Mapping[str, Any] = {
    "antialias": 0,
    "keep_aspect_ratio_policy": b"stretch",
    "saturate": 1,
    "noop_with_empty_axes": 0,
    "ceil_mode": 0,
}
"""Attributes that newer opsets brought, with the value that means what older ones do."""


def without_newer_functions(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the graph with operators that an opset lacks in terms of others, where ONNX says so.

    ONNX defines Gelu, Mish, GroupNormalization and their like by other operators.
    """
    known = main_opset(model)
    newer = {node.op_type for node in model.graph.node if not _exists(node.op_type, opset)}
    defined = [
        ("", name)
        for name in sorted(newer)
        if onnx.defs.has(name, known) and _is_function(onnx.defs.get_schema(name, known))
    ]
    if not defined:
        return model
    try:
        return inliner.inline_selected_functions(model, defined, inline_schema_functions=True)
    except RuntimeError:  # a definition that depends on types that it cannot find: named below
        return model


def at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the same graph at another opset.

    Args:
        model: simplified, with static shapes.
        opset: version of the ``ai.onnx`` operator set.

    Raises:
        GraphError: an operator has no spelling there; the message names it.
    """
    found = main_opset(model)
    if found < opset:
        try:
            return onnx.version_converter.convert_version(model, opset)
        except RuntimeError as error:  # all that its C++ side raises
            reason = str(error).strip().splitlines()[0]
            raise GraphError(
                f"opset {found} cannot be brought to opset {opset}: {reason}; export with opset "
                f"{opset}"
            ) from error
    lower = onnx.ModelProto()
    lower.CopyFrom(model)
    index = GraphIndex(model)
    for node in lower.graph.node:
        if found > opset:
            _require_spelling(node, found, opset)
        if node.op_type.startswith("Reduce") and found > opset:
            _axes_as_attribute(node, index, opset)
        if node.op_type == "Split":
            lower.graph.initializer.extend(_stated_sizes(node, index))
        schema = onnx.defs.get_schema(node.op_type, opset)
        kept = [item for item in node.attribute if item.name in schema.attributes]
        del node.attribute[:]
        node.attribute.extend(kept)
    for entry in lower.opset_import:
        if entry.domain in {"", "ai.onnx"}:
            entry.version = opset
    return lower


def _exists(operator: str, opset: int) -> bool:
    return bool(onnx.defs.has(operator, opset))


def _is_function(schema: onnx.defs.OpSchema) -> bool:
    described: Any = schema  # onnx's stubs leave these two out
    return bool(described.has_function or described.has_context_dependent_function)


def _require_spelling(node: onnx.NodeProto, found: int, opset: int) -> None:
    """Refuse a node that means something an older opset cannot say."""
    advice = f"opset {found} is brought to opset {opset}: export with opset {opset}"
    if not _exists(node.op_type, opset):
        raise GraphError(f"operator {node.op_type} is newer than opset {opset}; {advice}")
    schema = onnx.defs.get_schema(node.op_type, opset)
    for item in node.attribute:
        value = helper.get_attribute_value(item)
        if item.name in schema.attributes or item.name in {"axes", "num_outputs"}:
            continue
        ones = item.name == "dilations" and set(value) == {1}
        if not ones and _ALWAYS_DONE.get(item.name, None) != value:
            raise GraphError(
                f"{node.op_type} {node.name!r} has {item.name} {value!r}, which opset {opset} "
                f"lacks; {advice}"
            )
    if node.op_type == "Resize" and attribute_of(node, "axes", None) is not None:
        raise GraphError(f"Resize {node.name!r} names axes, which opset {opset} lacks; {advice}")
    most = len(schema.inputs)
    reduces = node.op_type.startswith("Reduce")
    if len([name for name in node.input if name]) > most and not (
        reduces or schema.inputs[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    ):
        raise GraphError(
            f"{node.op_type} {node.name!r} has {len(node.input)} operands, {most} in opset "
            f"{opset}; {advice}"
        )


def _axes_as_attribute(node: onnx.NodeProto, index: GraphIndex, opset: int) -> None:
    """Let a reduction name its axes as older opsets do; ReduceSum has them as an operand there."""
    schema = onnx.defs.get_schema(node.op_type, opset)
    if "axes" not in schema.attributes or len(node.input) < 2:
        return
    axes = index.constant(node.input[1])
    if axes is None:
        raise GraphError(f"{node.op_type} {node.name!r} computes its axes; expected constants")
    del node.input[1:]
    if axes.size:
        node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes]))


def _stated_sizes(node: onnx.NodeProto, index: GraphIndex) -> list[onnx.TensorProto]:
    """Let a Split state how much each output gets, which opsets spell in three ways."""
    if len(node.input) > 1 and node.input[1]:
        return []
    shape = index.shape(node.input[0])
    if shape is None:
        raise GraphError(f"Split {node.name!r} divides a tensor whose shape is not known")
    axis = attribute_of(node, "axis", 0)
    share = -(-shape[axis] // len(node.output))
    left = shape[axis] - share * (len(node.output) - 1)
    sizes = np.array([share] * (len(node.output) - 1) + [left], np.int64)
    name = f"{node.output[0]}_split_sizes"
    del node.input[1:]
    node.input.append(name)
    return [numpy_helper.from_array(sizes, name)]
