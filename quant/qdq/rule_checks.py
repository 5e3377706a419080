"""Look for what breaks a target's rule in a QDQ graph: one function per rule of quant/qdq/rules.py.

Each yields the node, what was found there, and what was expected.
"""

from collections.abc import Iterator

import numpy as np
import onnx

from calib.graph import QDQ_PAIR
from quant.analysis.topology import ACTIVATIONS, says_how
from quant.numerics.affine import WEIGHT_LIMIT
from quant.qdq.view import QdqView, QuantParams
from quant.targets import TargetProfile

Finding = tuple[str, str, str]
"""Node, found, expected."""


_SCALE_TOLERANCE = 2e-6


def quantized_found(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield the graph if it has no convolution of quantized data."""
    if not any(True for _ in view.integer_convolutions()):
        yield view.index.model.graph.name, "no convolution of quantized data", "a QDQ graph"


def scale_found(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield pairs whose scale is not positive and finite."""
    for node in view.index.nodes:
        if node.op_type not in QDQ_PAIR:
            continue
        scale = view.index.constant(node.input[1])
        if scale is not None and not (np.isfinite(scale) & (scale > 0)).all():
            yield node.name, f"scale {scale.min():g}", "positive, finite scales"


def activation_type(view: QdqView, profile: TargetProfile) -> Iterator[Finding]:
    """Yield activations of a type, or with scales per channel, that the target does not take."""
    allowed = [name for _, name in profile.integers]
    for quantizer in view.quantizers:
        if quantizer.dtype not in allowed or not quantizer.per_tensor:
            shape = "" if quantizer.per_tensor else " per channel"
            yield quantizer.node.name, quantizer.dtype + shape, f"{' or '.join(allowed)} per tensor"


def zero_point_found(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield activations whose zero point is not 0."""
    for quantizer in view.quantizers:
        if quantizer.zero_point.any():
            yield quantizer.node.name, f"zero point {quantizer.zero_point.max()}", "zero point 0"


def minimum_range(view: QdqView, profile: TargetProfile) -> Iterator[Finding]:
    """Yield activations whose quantized range is narrower than the target takes."""
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


def weight_found(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield weights that are not symmetric int8 with one scale per output channel."""
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


def bias_int32(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield biases that are not int32 with scale input scale * weight scale."""
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


def bias_float(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield biases that carry a QDQ pair."""
    for node, *_parameters in view.integer_convolutions():
        bias = view.dequantizer(node.input[2]) if len(node.input) > 2 else None
        if bias is not None:
            yield node.name, f"{bias.dtype} bias", "float bias without QDQ"


def convolution_output(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield convolutions whose output is not read by one QuantizeLinear alone."""
    for node, *_parameters in view.integer_convolutions():
        output = node.output[0]
        readers = [reader.op_type for reader in view.readers(output)]
        if readers != ["QuantizeLinear"] or output in view.index.outputs:
            seen = ["the graph output"] if output in view.index.outputs else []
            found = ", ".join([*readers, *seen]) or "nothing"
            yield node.name, f"output read by {found}", "one QuantizeLinear as the only reader"


def pair_before_activation(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield activations without a QDQ pair between convolution and them."""
    for node, *_parameters in view.integer_convolutions():
        behind = view.activation_behind(node, ACTIVATIONS)
        if behind is not None and not behind[1]:
            yield behind[0].name, f"no QDQ pair behind {node.name}", "one before the activation"


def no_pair_before_activation(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield activations with a QDQ pair between convolution and them."""
    for node, *_parameters in view.integer_convolutions():
        behind = view.activation_behind(node, ACTIVATIONS)
        if behind is not None and behind[1]:
            yield behind[0].name, f"a QDQ pair behind {node.name}", "none before the activation"


def residual_skip(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield residual additions with a QDQ pair on both inputs."""
    for node in view.operators:
        if node.op_type != "Add" or any(view.is_constant(name) for name in node.input):
            continue
        if all(view.dequantizer(name) is not None for name in node.input):
            yield node.name, "a QDQ pair on both inputs", "at most one, on the skip connection"


def concat_scale(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield Concats whose inputs and output do not share one scale and zero point."""
    for node in view.operators:
        if node.op_type != "Concat" or _is_float(view, node):
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


def every_operator(view: QdqView, _: TargetProfile) -> Iterator[Finding]:
    """Yield operands and results that are in float."""
    for node in view.operators:
        for slot, name in enumerate(node.input):
            value = name and not says_how(node.op_type, slot) and not view.counts(name)
            if value and view.dequantizer(name) is None:
                yield node.name, f"{name} {_form(view, name)}", "every operand dequantized"
        for name in filter(None, node.output):
            if view.output_quantizer(name) is None and not view.counts(name):
                yield node.name, f"{name} {_form(view, name)}", "every result quantized"


def _is_float(view: QdqView, node: onnx.NodeProto) -> bool:
    """Tell whether a node takes floats alone and gives floats to a reader of floats."""
    given = (view.dequantizer(name) is None and not view.holds_codes(name) for name in node.input)
    readers = view.readers(node.output[0])
    return all(given) and any(reader.op_type != "QuantizeLinear" for reader in readers)


def _form(view: QdqView, tensor: str) -> str:
    return "as integers" if view.holds_codes(tensor) else "in float"
