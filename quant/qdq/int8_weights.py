"""Hold the int8 weights and int32 biases of a QDQ graph, rounded to nearest or otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from calib.arrays import Float32, Float64, Floating, Int8, Int32
from calib.errors import GraphError
from quant.numerics.affine import BIAS_LIMIT
from quant.plan import WeightQuant


@dataclass(frozen=True)
class RoundedWeights:
    """Weights that were fitted to the network rather than rounded to the nearest value.

    Attributes:
        codes: int8 weights ``[O, I, kH, kW]`` by weight initializer.
        biases: float ``[O]`` by bias initializer, each exactly the value that is stored.
        nearest: weights that were to be fitted but are rounded to nearest, with the reason.
    """

    codes: Mapping[str, Int8] = field(default_factory=dict)
    biases: Mapping[str, Float64] = field(default_factory=dict)
    nearest: Mapping[str, str] = field(default_factory=dict)


def round_to_nearest(weight: Float32, quant: WeightQuant) -> Int8:
    """Return the int8 weights ``[O, ...]`` nearest to ``weight / scale``."""
    return quant.limits.round_to_nearest(
        weight / quant.scale_array.reshape(-1, *[1] * (weight.ndim - 1))
    )


def bias_codes(name: str, bias: Floating, scales: Float32) -> Int32:
    """Return the int32 biases ``[O]`` nearest to ``bias / scales``.

    Raises:
        GraphError: a bias does not fit int32.
    """
    steps = np.rint(bias.astype(np.float64) / scales)
    if np.abs(steps).max(initial=0.0) > 2 * BIAS_LIMIT - 1:
        raise GraphError(
            f"the bias {name!r} needs {np.abs(steps).max():.3g} steps of its scale, more than "
            "int32 holds; leave the convolution in float"
        )
    return steps.astype(np.int32)
