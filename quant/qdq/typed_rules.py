"""Look for what keeps a strongly typed compiler from running a QDQ graph in int8 and fp16.

One function per rule of quant/qdq/rules.py, as in quant/qdq/rule_checks.py. Such a compiler takes
the types that are stated: one float32 tensor in the middle is a parse error, or a layer in float32.
What stands between the graph's ends and their casts may be float32: a picture is turned there where
files take other forms of it (quant/passes/forms).
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto

from calib.errors import GraphError
from calib.graph import QDQ_PAIR
from quant.numerics.half import FP16_NORMAL
from quant.qdq.opset import OPSET_16_BITS, OPSET_HALF_SCALES
from quant.qdq.rule_checks import Finding
from quant.qdq.view import QdqView
from quant.targets import TargetProfile

_TURNS = frozenset({"Identity", "Reshape", "Transpose"})
_FLOATS: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}


def opset_found(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield the graph if fp16 scales are not yet valid in its opset, or it is a later one."""
    for entry in view.index.model.opset_import:
        if entry.domain not in {"", "ai.onnx"}:
            continue
        if not OPSET_HALF_SCALES <= entry.version <= OPSET_16_BITS:
            yield (
                view.index.model.graph.name,
                f"opset {entry.version}",
                f"opset {OPSET_HALF_SCALES} to {OPSET_16_BITS}",
            )


def half_scales_found(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield pairs whose scale is not fp16, or below its normal numbers."""
    for node in view.index.nodes:
        scale = view.index.constant(node.input[1]) if node.op_type in QDQ_PAIR else None
        if scale is None:
            continue
        if scale.dtype != np.float16:
            yield node.name, f"a scale of {scale.dtype}", "fp16 scales"
        elif (np.abs(scale) < FP16_NORMAL).any():
            yield (
                node.name,
                f"scale {float(scale.min()):g}",
                f"scales from {FP16_NORMAL:g} on, the normal numbers of fp16",
            )


def zero_points_stated(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield pairs without a zero point, which ONNX then takes for uint8, or of another length."""
    for node in view.index.nodes:
        if node.op_type not in QDQ_PAIR:
            continue
        scale = view.index.constant(node.input[1])
        zero_point = view.index.constant(node.input[2]) if len(node.input) > 2 else None
        if zero_point is None:
            yield node.name, "no zero point", "a zero point for each scale"
        elif scale is not None and zero_point.shape != scale.shape:
            found = f"zero points {list(zero_point.shape)} for scales {list(scale.shape)}"
            yield node.name, found, "a zero point for each scale"


def half_values(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield nodes between the casts that take or give another float type than fp16."""
    outside = {*_behind_input(view), *_before_output(view)}
    for node in view.index.nodes:
        if node.op_type in {"Cast", "Constant"}:
            continue
        data = [node.input[0]] if node.op_type in QDQ_PAIR else node.input
        taken = data[:1] if node.op_type == "Resize" else data  # its factors are float32
        for name in filter(None, (*taken, *node.output)):
            found = None if name in outside else _float_type(view, name)
            if found is not None and found != TensorProto.FLOAT16:
                yield node.name, f"{name} in {_FLOATS[found]}", "fp16 between the casts at the ends"
                break


def casts_at_ends(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield casts from one float type to another that are not at an end of the graph."""
    starts, ends = set(_behind_input(view)), set(_before_output(view))
    for node in view.index.nodes:
        if node.op_type != "Cast" or node.input[0] in starts or node.output[0] in ends:
            continue
        found, made = (_float_type(view, name) for name in (node.input[0], node.output[0]))
        if found is not None and made is not None:
            yield node.name, f"a cast to {_FLOATS[made]}", "casts at the two ends alone"


def _behind_input(view: QdqView) -> Iterator[str]:
    """Yield the graph's inputs, and what is turned of them."""
    known = list(view.index.inputs)
    while known:
        tensor = known.pop()
        yield tensor
        known += [n.output[0] for n in view.readers(tensor) if n.op_type in _TURNS]


def _before_output(view: QdqView) -> Iterator[str]:
    """Yield the graph's outputs, and what they are turned from."""
    for tensor in view.index.outputs:
        node: onnx.NodeProto | None = view.index.producer(tensor)
        yield tensor
        while node is not None and node.op_type in _TURNS:
            yield node.input[0]
            node = view.index.producer(node.input[0])


def _float_type(view: QdqView, tensor: str) -> int | None:
    """Return the element type of a tensor of floats; ``None`` for others, and where not known."""
    try:
        found = view.index.element_type(tensor)
    except GraphError:  # behind an operator that is not ONNX's
        return None
    return found if found in _FLOATS else None
