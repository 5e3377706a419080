"""Measure what quantizing each layer group costs the picture.

Rounding errors of different layers are nearly independent, so the squared error of the whole
int8 model is nearly the sum of those of models in which a single group is quantized and all
else is float. What a group costs is measured that way, in QDQ reference semantics, and

    parity without a set R of groups  ~  -10 log10(E - sum over R of e_f * E / sum of all e_f)

with E measured too, predicts what returning them to a higher precision gains. Where the additions
of the residual trunk hand on quantized sums, they are a group as well, of no multiplications.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from calib.arrays import Float32
from calib.errors import CalibrationError
from calib.graph import GraphIndex
from calib.output_kind import output_kind, peak, seen
from calib.records import Count, NotNegative, Positive, Sha256, read
from calib.runtime import Session
from quant.analysis.layer_groups import LayerGroup, find_layer_groups
from quant.analysis.multiplications import multiplications
from quant.numerics.psnr import psnr_of
from quant.passes.prepared import PreparedGraph
from quant.plan import EdgeQuant, QuantPlan
from quant.qdq.emit import emit_qdq
from quant.qdq.int8_weights import RoundedWeights

ADDITIONS = "residual additions"

SENSITIVITY_SCHEMA: Literal["esrdeploy.sensitivity/2"] = "esrdeploy.sensitivity/2"


@dataclass(frozen=True)
class GroupCost:
    """What quantizing one layer group alone costs.

    Attributes:
        name: its last convolution; :data:`ADDITIONS` of the residual trunk.
        nodes: its convolutions, or the additions.
        squared_error: mean squared error of what counts of the output, over all pictures, in units
            of its squared peak (calib/output_kind.py); of pictures the peak is 1.
        macs: multiply-accumulates of its convolutions; additions have none.
    """

    name: str
    nodes: tuple[str, ...]
    squared_error: NotNegative
    macs: Count

    @property
    def parity_db(self) -> float:
        """PSNR between the float model and the one with this group quantized."""
        return psnr_of(self.squared_error)


@dataclass(frozen=True)
class Sensitivity:
    """What each layer group of a plan costs.

    Attributes:
        groups: in graph order.
        squared_error: of the whole quantized model on the same pictures.
        pictures: how many pictures it was measured on.
    """

    groups: tuple[GroupCost, ...]
    squared_error: NotNegative
    pictures: Positive

    @property
    def parity_db(self) -> float:
        """Parity of the whole quantized model."""
        return psnr_of(self.squared_error)

    def most_costly_until(
        self, parity_db: float, *, sparing_macs: bool = False
    ) -> tuple[GroupCost, ...]:
        """Return the groups, the most costly first, that are predicted to suffice.

        All of them, if even that is predicted to fall short.

        Args:
            parity_db: what is to be reached.
            sparing_macs: rank by cost per multiply-accumulate: the fewest of those, instead of the
                fewest groups.
        """
        total = math.fsum(group.squared_error for group in self.groups)
        share = self.squared_error / total if total else 0.0
        allowed = 10.0 ** (-parity_db / 10.0)
        left = self.squared_error
        chosen: list[GroupCost] = []
        for group in sorted(self.groups, key=lambda f: -f.squared_error / _work(f, sparing_macs)):
            if left <= allowed:
                break
            chosen.append(group)
            left -= group.squared_error * share
        return tuple(chosen)


def _work(group: GroupCost, sparing_macs: bool) -> int:
    """Return what a group's cost is divided by; promoting additions costs next to nothing."""
    return max(group.macs, 1) if sparing_macs else 1


@dataclass(frozen=True)
class SensitivityFile:
    """What the file of a measured sensitivity says.

    Attributes:
        key: digest of the plan and the pictures that it was measured with.
        measured: the sensitivity.
        schema: version of the format.
    """

    key: Sha256
    measured: Sensitivity
    schema: Literal["esrdeploy.sensitivity/2"] = SENSITIVITY_SCHEMA

    @classmethod
    def read(cls, path: Path) -> "SensitivityFile":
        """Read a sensitivity that was measured before.

        Raises:
            CalibrationError: the file is missing, or holds none.
        """
        return read(path, cls, CalibrationError, "build again")


def measured_groups(prepared: PreparedGraph) -> int:
    """Return how many groups :func:`measure_sensitivity` measures."""
    groups, _ = find_layer_groups(prepared.index, prepared.plan)
    return len(groups) + bool(quantized_additions(prepared))


def measure_sensitivity(
    prepared: PreparedGraph,
    rounded: RoundedWeights,
    inputs: Sequence[Float32],
    *,
    on_step: Callable[[], None] = lambda: None,
) -> Sensitivity:
    """Quantize each layer group alone and compare the pictures with the float model's.

    Args:
        prepared: the float graph under the plan.
        rounded: its int8 weights and biases.
        inputs: float32 ``[1, 3, H, W]``; pictures that nothing else was decided on.
        on_step: called after each group.
    """
    index, plan = prepared.index, prepared.plan
    expected = _outputs(prepared.source.model, inputs)
    costs = []
    for group in find_layer_groups(index, plan)[0]:
        alone = prepared.under(restricted(index, plan, group))
        emitted = emit_qdq(alone, _codes_of(alone.plan, rounded))
        error = _squared_error(emitted, inputs, expected)
        macs = sum(multiplications(index, node) for node in group.nodes)
        costs.append(GroupCost(group.name, tuple(n.name for n in group.nodes), error, macs))
        on_step()
    additions = quantized_additions(prepared)
    if additions:
        alone = prepared.under(restricted_to_additions(index, plan, additions))
        error = _squared_error(emit_qdq(alone, RoundedWeights()), inputs, expected)
        costs.append(GroupCost(ADDITIONS, additions, error, 0))
        on_step()
    whole = _squared_error(emit_qdq(prepared, rounded), inputs, expected)
    return Sensitivity(tuple(costs), whole, len(inputs))


def quantized_additions(prepared: PreparedGraph) -> tuple[str, ...]:
    """Return the names of the nodes of the residual trunk if they hand quantized sums on."""
    topology, plan = prepared.topology, prepared.plan
    trunk = (node.name for node in topology.operators if topology.part(node) == "trunk")
    found = tuple(name for name in trunk if name not in plan.kept_float)
    return found if restricted_to_additions(prepared.index, plan, found).edges else ()


def quantized_parity_db(
    float_model: onnx.ModelProto, quantized: onnx.ModelProto, inputs: Sequence[Float32]
) -> float:
    """Return how near a QDQ model's outputs come to a float model's, over all of them, in dB."""
    expected = _outputs(float_model, inputs)
    return psnr_of(_squared_error(quantized, inputs, expected))


def restricted(index: GraphIndex, plan: QuantPlan, group: LayerGroup) -> QuantPlan:
    """Return a plan in which only this layer group's inputs, weights and outputs are quantized."""
    inside = {node.name for node in group.nodes}
    for node in group.nodes:
        inside |= {n.name for n in index.consumers(node.output[0]) if "Relu" in n.op_type}
        inside |= _joins(index, node.input[0])
    edges = {}
    for name, edge in plan.edges.items():
        producer = index.producer(edge.tensor)
        readers = edge.readers
        if producer is None or producer.name not in inside:
            readers = tuple(reader for reader in readers if reader in inside)
        if readers:
            edges[name] = replace(edge, readers=readers)
    return _with_edges(plan, edges, inside)


def restricted_to_additions(
    index: GraphIndex, plan: QuantPlan, additions: Collection[str]
) -> QuantPlan:
    """Return a plan in which only what additions hand on to one another is quantized.

    A convolution that reads their sums reads them in 8 bits whatever they are added up in.
    """
    edges = {}
    for name, edge in plan.edges.items():
        producer = index.producer(edge.tensor)
        readers = tuple(reader for reader in edge.readers if reader in additions)
        if producer is not None and producer.name in additions and readers:
            edges[name] = replace(edge, readers=readers)
    return _with_edges(plan, edges, additions)


def _with_edges(
    plan: QuantPlan, edges: Mapping[str, EdgeQuant], inside: Collection[str]
) -> QuantPlan:
    """Return a plan of these edges and the weights of these nodes, and nothing else."""
    edges = {
        name: edge if edge.after in edges else replace(edge, after=None)
        for name, edge in edges.items()
    }
    weights = {name: quant for name, quant in plan.weights.items() if quant.node in inside}
    return replace(
        plan,
        edges=edges,
        weights=weights,
        constants={},
        integer_concats=(),
        stored_half=(),
        rounded=None,
    )


def _joins(index: GraphIndex, tensor: str) -> set[str]:
    producer = index.producer(tensor)
    if producer is None or producer.op_type != "Concat":
        return set()
    return {producer.name}.union(*(_joins(index, name) for name in producer.input))


def _codes_of(plan: QuantPlan, rounded: RoundedWeights) -> RoundedWeights:
    """Return the int8 weights of the plan, and the biases beside them."""
    codes = {name: code for name, code in rounded.codes.items() if name in plan.weights}
    return RoundedWeights(codes, rounded.biases, {})


def _outputs(model: onnx.ModelProto, inputs: Collection[Float32]) -> list[Float32]:
    """Return what counts of the model's outputs, in QDQ reference semantics."""
    session = Session(model, optimized=False)
    (entry,), (output,) = session.inputs, session.outputs
    kind = output_kind(model)
    return [seen(session.run({entry: values})[output], kind) for values in inputs]


def _squared_error(
    model: onnx.ModelProto,
    inputs: Collection[Float32],
    expected: Sequence[Float32],
) -> float:
    found = _outputs(model, inputs)
    errors = [np.square(a - b).mean(dtype=np.float64) for a, b in zip(found, expected, strict=True)]
    return float(np.mean(errors)) / peak(np.stack(expected), output_kind(model)) ** 2
