"""Make the float graph that a plan's QDQ graph rounds, once for all who need it.

An int8 model differs from the float file in four ways: convolutions have taken up residual scales
and skips, channels are rescaled and enlargements in float may be written as transposed
convolutions, none of which changes the picture, and values are rounded. Weights are rounded, QDQ
pairs are placed and inner tensors are compared on the graph between: all but rounded.
"""

from dataclasses import dataclass, field, replace

import onnx

from calib.errors import GraphError, StaleTableError
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.passes.fold import Folded, fold
from quant.passes.lowering.resize_deconvolution import transposed
from quant.passes.plan_fit import require_fit
from quant.passes.rescale import Equalized, rescale
from quant.plan import QuantPlan


@dataclass(frozen=True, eq=False)
class PreparedGraph:
    """A float graph under a plan.

    Attributes:
        source: the float graph as it is shipped; the plan was made for it.
        plan: what is quantized, and how.
        folded: the graph whose residual scales and skips are taken up by convolutions, as planned.
        equalized: that graph with its channels rescaled, as planned.
        topology: the parts of that graph with its enlargements written as planned.
        known: distributions of its tensors, by digest of the calibration table that they are of.
    """

    source: GraphIndex
    plan: QuantPlan
    folded: Folded
    equalized: Equalized
    topology: Topology
    known: dict[str, TensorDistributions] = field(default_factory=dict, repr=False)

    @property
    def model(self) -> onnx.ModelProto:
        """The graph to round: no tensor but the float graph's, the same output."""
        return self.index.model

    @property
    def index(self) -> GraphIndex:
        """The index of :attr:`model`."""
        return self.topology.index

    @property
    def rewrites(self) -> dict[str, onnx.ModelProto]:
        """The graph after each pass that changes it, in order, for the driver to prove."""
        steps: dict[str, onnx.ModelProto] = {}
        if self.plan.folded:
            steps["fold"] = self.folded.model
        if self.plan.equalization:
            steps["equalize"] = self.equalized.model
        if self.plan.transposed:
            steps["transpose upsampling"] = self.model
        return steps

    def distributions(self, table: CalibrationTable) -> TensorDistributions:
        """Return the distributions of all tensors in the units in which they are quantized."""
        if table.digest not in self.known:
            rules = ObservationRules(self.topology)
            self.known[table.digest] = TensorDistributions(
                rules, table.tensors, self.equalized.tensors
            )
        return self.known[table.digest]

    def under(self, plan: QuantPlan) -> "PreparedGraph":
        """Return the same graph under another plan.

        Raises:
            GraphError: that plan is of another graph, or rewrites it otherwise.
        """
        if _rewriting(plan) != _rewriting(self.plan):
            raise GraphError(
                f"expected a plan for {self.plan.target} that rewrites the graph as this one does; "
                "prepare the graph anew"
            )
        return replace(self, plan=plan)


def prepare(graph: GraphIndex, plan: QuantPlan) -> PreparedGraph:
    """Rewrite a float graph as a plan says.

    Args:
        graph: the float graph that the plan was made for.
        plan: the plan.

    Raises:
        StaleTableError: the plan is of another graph.
        GraphError: what it rewrites, its factors, or what it quantizes do not fit the graph.
    """
    if graph.network_digest != plan.network_digest:
        raise StaleTableError(
            f"the plan is of network {plan.network_digest}, found {graph.network_digest}; make a "
            "plan of this network"
        )
    folded = fold(graph.model, plan.folded)
    equalized = rescale(folded.model, plan.equalization).behind(folded)
    topology = Topology(GraphIndex(transposed(equalized.model, plan.transposed)))
    require_fit(plan, topology.index)
    return PreparedGraph(graph, plan, folded, equalized, topology)


def _rewriting(plan: QuantPlan) -> tuple[object, ...]:
    return plan.network_digest, plan.folded, plan.equalization, plan.transposed
