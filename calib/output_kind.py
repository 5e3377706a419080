"""Say what a network gives out, and how near one of its outputs comes to another.

    picture   as many channels as it takes, values in [0, 1]   seen = clip(y, 0, 1)   peak = 1
    map       one value for each pixel, without bounds         seen = y               peak = rms(y)

    nearness = 10 log10( peak^2 / mean( (seen y - seen z)^2 ) ) dB

with y of the network that is right and z of the one that is judged. Of a picture that is parity,
the PSNR of what a viewer sees; of a map it is SQNR, the signal-to-quantization-noise ratio.
"""

from typing import Literal, TypeAlias

import numpy as np
import onnx

from calib.arrays import Float32

OutputKind: TypeAlias = Literal["picture", "map"]

_LEAST_PEAK = 1e-12  # of a map of nothing but zeros


def output_kind(model: onnx.ModelProto) -> OutputKind:
    """Return what a graph gives out, by the channels of its two ends.

    Args:
        model: from ``[N,C,H,W]`` to ``[N,K,H*s,W*s]``, in the usual form of pictures.
    """
    taken, given = (
        end.type.tensor_type.shape.dim[1].dim_value
        for end in (model.graph.input[0], model.graph.output[0])
    )
    return "picture" if taken == given else "map"


def seen(output: Float32, kind: OutputKind) -> Float32:
    """Return what counts of an output, float32 of any shape."""
    return np.clip(output, 0.0, 1.0) if kind == "picture" else output


def peak(reference: Float32, kind: OutputKind) -> float:
    """Return what the error of an output is measured by, from the output that is right."""
    if kind == "picture":
        return 1.0
    return max(_LEAST_PEAK, float(np.sqrt(np.square(reference, dtype=np.float64).mean())))


def shown(output: Float32, kind: OutputKind) -> Float32:
    """Return an output as values in [0, 1] to look at: of a map of logits, their probabilities."""
    if kind == "picture":
        return output
    probabilities: Float32 = 0.5 + 0.5 * np.tanh(0.5 * output)
    return probabilities
