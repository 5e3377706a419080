"""Say how large each channel of a tensor is for the grid that all of them share.

A channel's magnitude is half the range that its best step covers (quant/numerics/channel_steps.py):
channels of like magnitudes are rounded and clipped alike. The largest value seen says less, as one
picture in fifty may hold it.
"""

import numpy as np

from calib.arrays import Float64
from quant.analysis.activation_slopes import slopes_behind
from quant.analysis.channel_statistics import channel_statistics
from quant.analysis.tensor_distributions import TensorDistributions, leaky_slope
from quant.numerics.channel_steps import STEPS_PER_OCTAVE, StepErrors
from quant.numerics.grids import Grids

HALF_SPAN = 127.5


def step_errors(distributions: TensorDistributions, tensor: str, grids: Grids) -> StepErrors | None:
    """Return the errors of a tensor's channels by step; ``None`` if calibration saw none of it.

    Before an activation they are those of what leaves it.
    """
    seen = _behind_activation(distributions, tensor)
    if seen is None:
        return None
    values, counts, slopes = seen
    slopes = slopes if grids.before_activation else np.ones(len(slopes))
    return StepErrors.of(
        values,
        counts,
        slopes,
        symmetric=grids.symmetric,
        clipping_weight=grids.clipping_weight,
    )


def _behind_activation(
    distributions: TensorDistributions, tensor: str
) -> tuple[Float64, Float64, Float64] | None:
    """Return values ``[C, N]``, ascending, with counts, and each channel's slope ``[C]``.

    A negative slope counts as the positive one: what matters is how much of an error it leaves.
    """
    rules = distributions.rules
    activation = rules.leaky_reader(tensor)
    source = tensor if activation is None else activation.output[0]
    if source not in distributions.statistics:
        return None
    channels = distributions.statistics_of(source).channels
    edges = channels.edges() / np.reshape(distributions.factors.get(tensor, 1.0), (-1, 1))
    centres, counts = (edges[:, :-1] + edges[:, 1:]) / 2.0, channels.counts.astype(np.float64)
    if activation is not None:
        return centres, counts, np.full(len(centres), leaky_slope(activation))
    found = slopes_behind(rules, tensor)
    slopes = np.ones(len(centres)) if found is None else np.abs(found)
    return np.where(centres < 0.0, centres * slopes[:, np.newaxis], centres), counts, slopes


def channel_magnitudes(distributions: TensorDistributions, tensor: str, grids: Grids) -> Float64:
    """Return the magnitude of each channel, float64 ``[C]``; 0 of one that is always 0.

    Raises:
        CalibrationError: the table lacks a tensor they rest on.
    """
    errors = step_errors(distributions, tensor, grids)
    if errors is None:
        return channel_statistics(distributions, tensor).abs_max
    magnitudes = HALF_SPAN * np.exp2(errors.best / STEPS_PER_OCTAVE)
    return np.where(errors.living, magnitudes, 0.0)
