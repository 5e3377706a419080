"""Make a float model of ours of somebody's ONNX file, proven to draw what the file draws.

widen      float32 in the place of fp16 and bf16, which changes no value
fix        the input at one size; onnxsim computes what follows from it, and what it leaves of
           that is computed here
spell      operators of our opset, our names, the graph in normal form
prove      the result = the file in onnxruntime, on every probe; a file of halves is computed
           in float32 for that, and is itself held against that first
"""

from collections.abc import Sequence

import onnx

from calib.arrays import Float32
from calib.errors import GraphError
from calib.widen import in_float32, without_idle_casts
from deploy.network.canonical_graph import require_sound
from deploy.network.exported import (
    MIN_PSNR_DB,
    OPSET,
    ExportedModel,
    half_noise,
    named,
    simplified,
)
from deploy.network.native_output import native_output_dropped
from deploy.network.onnx_file.constants import with_constants_computed
from deploy.network.onnx_file.likeness import judge_likeness, scale_of
from deploy.network.onnx_file.names import in_our_names
from deploy.network.onnx_file.opset import at_opset, without_newer_functions
from deploy.network.onnx_file.original import original_runner
from deploy.network.onnx_file.read import OnnxFile
from quant.passes.equivalence import Probe, outputs_of, require_equivalent

HALF_PSNR_DB = 50.0
"""Least PSNR between a file of halves and the same in float32: fp16 rounds, and does no more."""

# A factor that stands alone may become one per channel (cross-layer equalization); biases and batch
# normalizations are better off in their convolutions.
_SKIPPED_FUSIONS = ["fuse_mul_into_conv", "fuse_preceding_mul_into_conv"]


def export_onnx(file: OnnxFile, pictures: Sequence[Float32]) -> ExportedModel:
    """Make the float model of a file for the size of some pictures, and prove it on them.

    Args:
        file: the network.
        pictures: real images, float32 ``[1,C,H,W]`` in [0,1], all of one shape.

    Raises:
        GraphError: the file cannot take that size, draws no enlarged picture, has no spelling at
            our opset, or the result draws something else.
    """
    inputs = half_noise(pictures)
    run = original_runner(file)
    expected = [run(values) for values in inputs]
    scale_of(inputs[0], expected[0], file.name)
    notes = judge_likeness(run, pictures[0], file.name)
    if file.is_half:
        as_it_is = original_runner(file, widened=False)
        require_equivalent(
            named(expected),
            named([as_it_is(values) for values in inputs]),
            min_psnr_db=HALF_PSNR_DB,
            parties=f"{file.name} in float32 and as it is",
        )
    model = in_our_form(file.model, inputs[0].shape, file.name)
    outputs = outputs_of(model, inputs)
    proven = require_equivalent(
        outputs, named(expected), min_psnr_db=MIN_PSNR_DB, parties=f"the graph and {file.name}"
    )
    probes = tuple(map(Probe, inputs, outputs))
    return ExportedModel(model, proven, probes, tuple(expected), notes)


def in_our_form(model: onnx.ModelProto, shape: tuple[int, ...], source: str) -> onnx.ModelProto:
    """Return a network at one size, in float32, our opset and our names.

    Args:
        model: of one input, one output, any opset and half or float values; it is not changed.
        shape: of the input.
        source: what the network came from, for messages.

    Raises:
        GraphError: it cannot take that size, has no spelling at our opset, or computes integers.
    """
    fixed = without_newer_functions(in_float32(model), OPSET)
    stored = {tensor.name for tensor in fixed.graph.initializer}
    for end in fixed.graph.input:
        if end.name not in stored:
            end.CopyFrom(
                onnx.helper.make_tensor_value_info(end.name, onnx.TensorProto.FLOAT, shape)
            )
    for end in fixed.graph.output:
        end.CopyFrom(
            onnx.helper.make_tensor_value_info(end.name, onnx.TensorProto.FLOAT, [None] * 4)
        )
    try:
        with native_output_dropped():
            simple = simplified(without_idle_casts(fixed), _SKIPPED_FUSIONS)
            computed = with_constants_computed(simple)
            if computed is not simple:
                simple = simplified(computed, _SKIPPED_FUSIONS)
        simple = onnx.shape_inference.infer_shapes(simple)
        ours = in_our_names(at_opset(simple, OPSET))
        _require_float(ours)
        require_sound(ours, {})
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(f"{source} has no valid form at opset {OPSET}: {reason}") from error
    except GraphError as error:
        raise GraphError(f"{source}: {error}") from error
    return ours


def _require_float(model: onnx.ModelProto) -> None:
    """Refuse values between pictures that are no floats: nothing here quantizes around them."""
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type.elem_type
        if kind != onnx.TensorProto.FLOAT:
            name = onnx.TensorProto.DataType.Name(kind).lower()
            raise GraphError(
                f"computes {value.name!r} as {name}; expected floats from picture to picture"
            )
