"""Choose scale and zero point of the QDQ pair between a Conv and its LeakyReLU, PReLU or ReLU.

onnxruntime and QNN round twice there: once before the activation and once after it. Two free
scales add two rounding errors. With the *same* scale on both sides the second rounding finds
every non-negative value already on its grid and adds nothing, and so it does with twice the scale
before: negative values are then rounded half as coarsely behind the activation, which has half of
its codes left for them. What is left to choose is how far below zero the first pair reaches,
because a level spent on a negative input is one fewer for positive ones, and inputs below the reach
are clipped, at the LeakyReLU's slope. Scales between are tried too, for where clipping decides.

Every candidate is judged by the squared error of the whole chain,

    x -> QDQ(scale, zero point) -> LeakyReLU -> QDQ(output scale, output zero point),

against LeakyReLU(x), summed over the observed distribution. A PReLU has a slope for each channel, a
ReLU the slope 0, which no output tells the input of: there x is observed, channel by channel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calib.arrays import Float64
from quant.numerics.affine import IntegerType, affine_parameters, covered_range
from quant.numerics.distribution import Distribution, least_squares_range

# Scales tried before a LeakyReLU, in scales of the pair behind it.
_WIDER = (1.0, 1.25, 1.5, 1.75, 2.0)
# Scales tried between the output's, on which the second rounding adds nothing, and the inputs' own.
_STEPS_PER_OCTAVE = 3


@dataclass(frozen=True)
class Affine:
    """Scale and zero point of one QDQ pair.

    Attributes:
        scale: a float32 value.
        zero_point: quantized value of 0.
    """

    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class Activated:
    """Values on both sides of an activation, with their counts.

    Attributes:
        inputs: float64 ``[N]``.
        slopes: what multiplies those below zero, one for all or ``[N]``.
        outputs: float64 ``[N]``.
        counts: float64 ``[N]``.
    """

    inputs: Float64
    slopes: float | Float64
    outputs: Float64
    counts: Float64

    @classmethod
    def of(cls, inputs: Float64, slopes: Float64, counts: Float64) -> "Activated":
        """Return what an activation of these slopes makes of its inputs."""
        return cls(inputs, slopes, np.where(inputs < 0.0, inputs * slopes, inputs), counts)


def choose_before_activation(  # noqa: PLR0913  # both grids and what they hold
    activated: Distribution,
    slope: float,
    integer: IntegerType,
    output: Affine | None,
    *,
    symmetric: bool,
    clipping_weight: float = 1.0,
) -> Affine:
    """Return the parameters of the QDQ pair before a LeakyReLU with the least chain error.

    Args:
        activated: distribution at the LeakyReLU's output.
        slope: its slope, between 0 and 1.
        integer: type of the quantized values, before and after.
        output: parameters of the pair behind the LeakyReLU; ``None`` if there is none.
        symmetric: zero points must be 0.
        clipping_weight: how much worse a squared error of clipping is than one of rounding.
    """
    low, high = least_squares_range(
        activated,
        integer,
        symmetric=symmetric,
        negative_gain=slope,
        clipping_weight=clipping_weight,
    )
    free = Affine(*affine_parameters(low / slope, high, integer, symmetric=symmetric))
    if output is None:
        return free
    candidates = [free]
    for multiple in _WIDER:
        scale = float(np.float32(output.scale * multiple))
        candidates += _all_over(scale, integer, symmetric=symmetric)
    errors = chain_errors(
        activated, slope, integer, candidates, output, clipping_weight=clipping_weight
    )
    return candidates[int(np.argmin(errors))]


def choose_before_slopes(  # noqa: PLR0913  # both grids and what they hold
    activated: Activated,
    free: Affine,
    integer: IntegerType,
    output: Affine,
    *,
    symmetric: bool,
    clipping_weight: float = 1.0,
) -> Affine:
    """Return the parameters of the QDQ pair before a PReLU or ReLU with the least chain error.

    Args:
        activated: values on both sides of the activation.
        free: parameters that suit the inputs alone; no larger scale is tried but the output's.
        integer: type of the quantized values, before and after.
        output: parameters of the pair behind the activation.
        symmetric: zero points must be 0.
        clipping_weight: how much worse a squared error of clipping is than one of rounding.
    """
    octaves = np.log2(free.scale / output.scale) if output.scale < free.scale else 0.0
    steps = np.arange(1, np.ceil(octaves * _STEPS_PER_OCTAVE)) / _STEPS_PER_OCTAVE
    wider = [float(np.float32(output.scale * ratio)) for ratio in np.exp2(steps)]
    candidates = [free]
    for scale in (output.scale, *wider):
        candidates += _all_over(scale, integer, symmetric=symmetric)
    errors = activated_errors(
        activated, integer, candidates, output, clipping_weight=clipping_weight
    )
    return candidates[int(np.argmin(errors))]


def _all_over(scale: float, integer: IntegerType, *, symmetric: bool) -> Iterator[Affine]:
    """Yield pairs of a scale with zero points all over the integer range."""
    stride = max(integer.span // 64, 1)
    for zero_point in (0,) if symmetric else range(integer.qmin, integer.qmax + 1, stride):
        yield Affine(scale, zero_point)


def chain_errors(  # noqa: PLR0913  # both grids and what they hold
    activated: Distribution,
    slope: float,
    integer: IntegerType,
    befores: Sequence[Affine],
    output: Affine,
    *,
    clipping_weight: float = 1.0,
) -> Float64:
    """Return the mean squared error of both QDQ pairs and the LeakyReLU between them.

    Args:
        activated: distribution at the LeakyReLU's output.
        slope: its slope.
        integer: type of the quantized values, before and after.
        befores: what to try for the pair before.
        output: parameters of the pair behind.
        clipping_weight: by how much an error counts more where either pair clips.

    Returns:
        One error for each of ``befores``.
    """
    inputs = np.where(activated.values < 0.0, activated.values / slope, activated.values)
    both = Activated(inputs, slope, activated.values, activated.counts)
    return activated_errors(both, integer, befores, output, clipping_weight=clipping_weight)


def activated_errors(
    activated: Activated,
    integer: IntegerType,
    befores: Sequence[Affine],
    output: Affine,
    *,
    clipping_weight: float = 1.0,
) -> Float64:
    """Return the mean squared error of both QDQ pairs and the activation between them.

    Args:
        activated: values on both sides of the activation.
        integer: type of the quantized values, before and after.
        befores: what to try for the pair before.
        output: parameters of the pair behind.
        clipping_weight: by how much an error counts more where either pair clips.

    Returns:
        One error for each of ``befores``.
    """
    scales = np.array([before.scale for before in befores])[:, np.newaxis]
    zero_points = np.array([before.zero_point for before in befores])[:, np.newaxis]
    lowest, highest = integer.qmin - zero_points, integer.qmax - zero_points
    rounded = np.clip(np.rint(activated.inputs / scales), lowest, highest) * scales
    activation = np.where(rounded < 0.0, rounded * activated.slopes, rounded)
    squared = (round_trip(activation, output, integer) - activated.outputs) ** 2
    if clipping_weight != 1.0:
        low, high = covered_range(output.scale, output.zero_point, integer)
        before = (activated.inputs < lowest * scales) | (activated.inputs > highest * scales)
        behind = (activated.outputs < low) | (activated.outputs > high)
        squared = np.where(before | behind, clipping_weight * squared, squared)
    errors: Float64 = squared @ activated.counts / activated.counts.sum()
    return errors


def round_trip(values: Float64, affine: Affine, integer: IntegerType) -> Float64:
    """Return what a QDQ pair makes of ``values``."""
    codes = np.rint(values / affine.scale) + affine.zero_point
    codes = np.clip(codes, integer.qmin, integer.qmax)
    rounded: Float64 = (codes - affine.zero_point) * affine.scale
    return rounded
