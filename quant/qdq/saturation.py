"""Find the convolutions of a QDQ graph whose 8-bit products can saturate 16-bit sums."""

import numpy as np

from quant.numerics.saturation_limits import SaturationLimits
from quant.qdq.view import QdqView


def saturable_convolutions(view: QdqView) -> tuple[str, ...]:
    """Return the convolutions of a QDQ graph whose sums of two products may leave 16 bits.

    Convolutions of 16-bit activations or of weights other than int8 have kernels of other kinds.
    """
    found = []
    for node, data, _ in view.integer_convolutions():
        codes = view.codes(node.input[1])
        if codes is None or codes.dtype != np.int8 or data.dtype not in {"uint8", "int8"}:
            continue
        if SaturationLimits(16).excess(codes):
            found.append(node.name)
    return tuple(found)
