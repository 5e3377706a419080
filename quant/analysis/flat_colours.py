"""Say what a convolution that reads the picture makes of flat colours.

    least      b + sum over input channels of min(0, w)      colours lie in [0, 1]
    largest    b + sum over input channels of max(0, w)      w is the sum of the taps

Any picture may hold any colour, and calibration pictures hold few saturated ones. A channel that
tells one colour from all others reaches far beyond what it shows in most photographs.
"""

import numpy as np
import onnx

from calib.arrays import Float64
from calib.graph import GraphIndex


def flat_colour_range(index: GraphIndex, convolution: onnx.NodeProto) -> Float64 | None:
    """Return the least and the largest output of each channel over all colours, float64 ``[O, 2]``.

    Returns:
        ``None`` if the convolution reads something else than the picture, or weights that are no
        constants.
    """
    weight = index.constant(convolution.input[1])
    if convolution.input[0] not in index.inputs or weight is None:
        return None
    taps = weight.astype(np.float64).reshape(*weight.shape[:2], -1).sum(axis=2)
    found = np.stack([np.minimum(taps, 0.0).sum(axis=1), np.maximum(taps, 0.0).sum(axis=1)], axis=1)
    name = convolution.input[2] if len(convolution.input) > 2 else ""
    bias = index.constant(name) if name else None
    return found if bias is None else found + bias.astype(np.float64)[:, np.newaxis]
