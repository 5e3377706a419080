"""Describe the 8-bit grids that a tensor meets, as far as its channels are chosen for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Grids:
    """What grids there are around a tensor's activation.

    Attributes:
        symmetric: their zero point is in the middle.
        before_activation: a convolution's output is quantized before its activation too, and not
            only behind it.
        clipping_weight: how much worse a squared error of clipping is than one of rounding.
    """

    symmetric: bool
    before_activation: bool
    clipping_weight: float = 1.0
