"""Hold a float ONNX model with the evidence that it computes what its original computes.

The original is run on probes: photographs whose lower halves are noise, which drives a network
where no photograph does. Whoever exports proves the result on them, and keeps what came out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from calib.arrays import Float32
from calib.colours import GRAY, RGB
from calib.errors import GraphError
from deploy.network.architecture import OUTPUT_NAME
from quant.passes.equivalence import Equivalence, Outputs, Probe

OPSET = 17
MIN_PSNR_DB = 110.0

# These would rewrite weights; a pass of ours does so openly, later.
WEIGHT_FUSIONS = [
    "fuse_add_bias_into_conv",
    "fuse_bn_into_conv",
    "fuse_mul_into_conv",
    "fuse_preceding_mul_into_conv",
]
_NOISE_SEED = 0


@dataclass(frozen=True)
class ExportedModel:
    """A float ONNX model with the evidence that it is the network.

    Attributes:
        model: opset 17, input ``input`` float32 ``[1,C,H,W]`` in [0,1], output ``output``
            float32 ``[1,C,H*scale,W*scale]``, all shapes static.
        against_original: the model in onnxruntime beside its original.
        probes: what it was proven on, each with what the model gave out.
        original_outputs: float32 ``[1,C,H*scale,W*scale]``, what the original gave out for each.
        notes: what was seen on the way, for the user to know.
    """

    model: onnx.ModelProto
    against_original: Equivalence
    probes: tuple[Probe, ...]
    original_outputs: tuple[Float32, ...]
    notes: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[Float32, ...]:
        """What the model gave out for each probe, in the shape of the original's."""
        given = (probe.outputs for probe in self.probes)
        return tuple(outputs[OUTPUT_NAME] for outputs in given if outputs is not None)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side."""
        return enlargement(self.model)


def enlargement(model: onnx.ModelProto) -> int:
    """Return output pixels per input pixel along one side of a static graph."""
    ends = (model.graph.input[0], model.graph.output[0])
    taken, given = (end.type.tensor_type.shape.dim[-1].dim_value for end in ends)
    return int(given // taken)


def half_noise(pictures: Sequence[Float32]) -> list[Float32]:
    """Return pictures with noise in the place of their lower halves.

    Args:
        pictures: real images, float32 ``[1,C,H,W]`` in [0,1].

    Raises:
        GraphError: there is none, or they are not of one such shape.
    """
    if not pictures:
        raise GraphError("an export is proven on real images: found no probe, expected at least 1")
    shapes = {picture.shape for picture in pictures}
    shape = pictures[0].shape
    if len(shapes) != 1 or len(shape) != 4 or shape[:2] not in {(1, GRAY), (1, RGB)}:
        raise GraphError(
            f"probes have shapes {sorted(shapes)}; expected one shape [1,3,H,W], or [1,1,H,W] of "
            "gray"
        )
    rng = np.random.default_rng(_NOISE_SEED)
    rows = shape[2] // 2
    lower = (*shape[:2], shape[2] - rows, shape[3])
    return [
        np.concatenate([picture[:, :, :rows], rng.random(lower, dtype=np.float32)], axis=2)
        for picture in pictures
    ]


def simplified(model: onnx.ModelProto, skipped: Sequence[str] = ()) -> onnx.ModelProto:
    """Return what onnxsim makes of a graph.

    Args:
        model: with static inputs.
        skipped: names of its fusions that are not to be made.

    Raises:
        GraphError: onnxsim fails, or finds its own result at fault.
    """
    import onnxsim  # noqa: PLC0415  # it imports torch, which takes seconds

    try:
        made, checked = onnxsim.simplify(model, skipped_optimizers=list(skipped))
    except Exception as error:  # what its C++ side raises shares no base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GraphError(f"onnxsim could not simplify the graph: {reason}") from error
    if not checked:
        raise GraphError("onnxsim could not simplify the graph; its result is another network")
    simple: onnx.ModelProto = made
    return simple


def named(outputs: Sequence[Float32]) -> list[Outputs]:
    """Return what an original gave out as outputs of a graph."""
    return [{OUTPUT_NAME: output} for output in outputs]
