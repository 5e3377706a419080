"""Say how much worse a squared error of clipping is than one of rounding, and whose error counts.

Rounding errors of one block and the next partly cancel; what is clipped is missing for good, has
the shape of what the picture shows there, and most of it is missing in pictures that reach beyond
those calibrated on. A sum in float keeps it to the end.

What is wrong in a trunk is handed on by every block behind; what is wrong in a growth tensor ends
with its dense block, whose output is added at a fifth of its size.
"""

from dataclasses import dataclass
from typing import Literal

BORDER_ON_FLOAT = 10.0
"""For a tensor with a grid to itself that float operators make or read: the ends of residual
branches, and the trunk as the last convolution of the body reads it. All that the network adds up
passes there. Parity in dB on seven DIV2K pairs, weights in float, target ort, with 1, 5 and 10:
x4plus 36.65, 37.23, 37.23, x4plus-anime-6b 39.20, 39.46, 39.60."""

BESIDE_FLOAT_TRUNK = 4.0
"""For all other tensors of a network whose trunk is added up in float: how channels compare, the
grids of dense blocks, and those before activations. Parity in dB of x4plus-anime-6b on 18 DIV2K
pairs, mean and lowest, and on 14 photographs of other kinds, mean and lowest:

    target         with 1                        with 4 (all with zero points alike)
    ort            40.73 35.28 | 40.70 27.14     40.78 36.04 | 41.16 28.38
    openvino       41.54 35.76 | 41.52 27.27     42.33 37.38 | 42.69 28.89
    tensorrt-10    42.17 35.86 | 41.54 25.60     42.11 37.26 | 42.06 28.19

With 1, channels of the first two were compared by what they usually reach: by their steps ort has
40.69 and 40.75. With 3 and 6 it loses a tenth of a dB on the pairs."""

BESIDE_ROUNDED_TRUNK = 2.0
"""For the grids of dense blocks, and those before activations, of a network every addition of whose
trunk is rounded as well, where a pair before each activation may reach further alone. Parity in dB
of x4plus-anime-6b for qnn, as above:

    1: 38.13 32.40 | 37.95 25.25        2: 38.71 33.99 | 38.65 26.47
    3: 38.58 34.44 | 38.69 26.92        6: 38.32 34.40 | 38.69 27.59

How channels compare it does not change: finer steps are worth more than reach there."""

ROUNDED_TRUNK, ROUNDED_TRUNK_CLIPPING = 4.0, 4.0
"""For a tensor of such a trunk that a Concat joins with growth, where an error of growth counts 1.
Parity in dB with --full-integer of x4plus on three DIV2K pairs, x4plus-anime-6b on the same:

    error, clipping    x4plus    x4plus-anime-6b
     1, 2              35.68     38.83
     4, 2              36.03     38.84
     4, 4              36.48
     4, 3                        38.90
     4, 6              36.53     38.84
    10, 3              36.63     38.81
    10, 10             36.61

With 1 and 2, 1.5 of the 2.1 dB that all block ends of x4plus cost were clipping."""

ALIKE = 1.0
"""For networks without a trunk: with 4, general-x4v3 for ort has 39.65 dB in place of 39.84 on the
pairs, 38.54 in place of 38.75 on the photographs. And for how channels compare where the trunk is
rounded; with --full-integer, 10 where 8 bits border on the picture alone loses 0.6."""

Trunk = Literal["none", "float", "rounded"]
"""What adds a network's residual branches up, if it has a trunk."""


@dataclass(frozen=True)
class GridWeights:
    """How errors count where a grid is chosen.

    Attributes:
        clipping: how much worse clipping is than rounding, where nothing more is known of a tensor.
        trunk: how much an error of a tensor counts that a Concat joins with growth, against one of
            growth.
        trunk_clipping: how much worse clipping is than rounding in such a tensor.
    """

    clipping: float = ALIKE
    trunk: float = 1.0
    trunk_clipping: float = ALIKE


def grid_weights(trunk: Trunk, *, pair_before_activation: bool) -> GridWeights:
    """Return how errors count in a network.

    Args:
        trunk: of the network.
        pair_before_activation: a LeakyReLU reads what is rounded.
    """
    if trunk == "rounded" and pair_before_activation:
        return GridWeights(BESIDE_ROUNDED_TRUNK, ROUNDED_TRUNK, ROUNDED_TRUNK_CLIPPING)
    alike = BESIDE_FLOAT_TRUNK if trunk == "float" else ALIKE
    return GridWeights(clipping=alike, trunk_clipping=alike)


def channel_weight(trunk: Trunk) -> float:
    """Return the weight for how the channels of a tensor compare."""
    return BESIDE_FLOAT_TRUNK if trunk == "float" else ALIKE
