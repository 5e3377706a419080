"""Choose the grids of the QDQ pairs around an activation that reads a quantized tensor.

The pair before it is chosen for the sake of what stands behind it. Behind a LeakyReLU, whose output
tells its input, the pair behind was already chosen with both roundings in mind
(quant/numerics/shared_scale.py); of a PReLU or ReLU both are chosen together, where the one behind
shares its grid with no other tensor.
"""

from dataclasses import dataclass

import onnx

from calib.arrays import Float64
from quant.analysis.activation_slopes import activated_values, clipped_on_grid, slopes_behind
from quant.analysis.tensor_distributions import TensorDistributions, leaky_slope
from quant.numerics.activation_pairs import Pairs, choose_together
from quant.numerics.affine import IntegerType, affine_parameters
from quant.numerics.pre_activation_scale import (
    Affine,
    choose_before_activation,
    choose_before_slopes,
)
from quant.planning.qdq_placement import Edge, Placement

# Points that stand for the values of a histogram bin where grids are followed in small strides.
_FINE = 8
# Share of what calibration saw that a grid before an activation may clip: least squares may give up
# the negative values of a channel, of a small slope, that stands beside few others.
_MOST_CLIPPED = 0.02


@dataclass(frozen=True, eq=False)
class ActivationGrids:
    """Chooses the grids before activations, and behind them.

    Attributes:
        placement: which edges there are.
        distributions: of all tensors.
        clipping_weight: how much worse a squared error of clipping is than one of rounding.
    """

    placement: Placement
    distributions: TensorDistributions
    clipping_weight: float

    def reader(self, edge: Edge) -> onnx.NodeProto | None:
        """Return the activation behind an edge whose range is to be chosen for its sake."""
        leaky = self.distributions.rules.leaky_reader(edge.tensor)
        chosen = leaky is not None or self.slopes(edge) is not None
        return self.placement.topology.activation_of(edge.tensor) if chosen else None

    def slopes(self, edge: Edge) -> Float64 | None:
        """Return float64 ``[C]``, the slopes behind an edge whose values were observed."""
        return slopes_behind(self.distributions.rules, edge.tensor)

    def before_leaky(
        self, activation: onnx.NodeProto, integer: IntegerType, behind: Affine | None
    ) -> Affine:
        """Return the grid before a LeakyReLU; ``behind`` is the one behind it, if any."""
        return choose_before_activation(
            self.distributions.distribution(activation.output[0]),
            leaky_slope(activation),
            integer,
            behind,
            symmetric=self.placement.profile.symmetric,
            clipping_weight=self.clipping_weight,
        )

    def before_slopes(
        self, edge: Edge, slopes: Float64, integer: IntegerType, free: Affine, behind: Affine
    ) -> Affine:
        """Return the grid before a PReLU or ReLU.

        Args:
            edge: the edge before it.
            slopes: its slopes.
            integer: type of the quantized values.
            free: the grid that suits the edge's tensor alone.
            behind: the grid behind it.
        """
        return choose_before_slopes(
            activated_values(self.distributions, edge.tensor, slopes),
            free,
            integer,
            behind,
            symmetric=self.placement.profile.symmetric,
            clipping_weight=self.clipping_weight,
        )

    def together(
        self, edge: Edge, slopes: Float64, integer: IntegerType, start: Pairs, smallest: float
    ) -> Pairs:
        """Return the grids before and behind a PReLU or ReLU, chosen together if they clip little.

        Args:
            edge: the edge before it.
            slopes: its slopes.
            integer: type of the quantized values.
            start: the grids as they were chosen one after the other.
            smallest: the smallest scale there may be.
        """
        symmetric = self.placement.profile.symmetric
        chosen = choose_together(
            activated_values(self.distributions, edge.tensor, slopes, _FINE),
            start,
            integer,
            symmetric=symmetric,
            smallest=smallest,
            clipping_weight=self.clipping_weight,
        )
        for pairs in (chosen, start):
            clipped = clipped_on_grid(self.distributions, edge.tensor, pairs.before, integer)
            if clipped <= _MOST_CLIPPED:
                return pairs
        seen = self.distributions.distribution(edge.tensor)
        scale, zero = affine_parameters(seen.minimum, seen.maximum, integer, symmetric=symmetric)
        return Pairs(Affine(max(scale, smallest), zero), start.behind)
