"""Place QDQ pairs: find the tensors of a float graph that a target needs quantized.

Every operator gets a precision from the part of the network it belongs to. An edge then follows
from the two ends of a tensor:

    producer integer, reader integer   one QDQ pair, both use it
    producer integer, reader float     the reader takes the dequantized value: an integer kernel
                                       needs its quantizer to be the output's only reader
    producer float, reader integer     a pair for that reader; float readers take the tensor
    two integer widths                 a second pair behind the first

An operator that no rule here is about stays in float, or, where every edge is to be quantized,
takes and gives what convolutions do.
So a residual Add can read the trunk in float while the Concat beside it reads 8 bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import onnx

from quant.analysis.scale_absorbers import residual_scale
from quant.analysis.topology import ACTIVATIONS, KNOWN, MOVERS, Part, Topology
from quant.plan import GRAPH_OUTPUT
from quant.targets import ComputePrecision, TargetProfile


@dataclass(frozen=True)
class Edge:
    """A QDQ pair to be placed on a tensor.

    Attributes:
        name: unique; the tensor's name, followed by the precision if it is its second pair.
        tensor: the float tensor.
        precision: ``int8`` or ``int16``.
        readers: names of the nodes that read the dequantized value; ``GRAPH_OUTPUT`` for the
            graph itself.
        after: name of the edge whose dequantized value it quantizes, or ``None``: the tensor.
    """

    name: str
    tensor: str
    precision: ComputePrecision
    readers: tuple[str, ...]
    after: str | None


@dataclass(frozen=True, eq=False)
class Placement:
    """Decides precision and edges of one graph for one target.

    Attributes:
        topology: the graph.
        profile: the target.
        parts: precision of each part of the network.
        promoted: names of nodes to run in a higher precision, with the reason.
        full_integer: quantize what the profile would let be, on every edge.
    """

    topology: Topology
    profile: TargetProfile
    parts: Mapping[Part, ComputePrecision]
    promoted: Mapping[str, str]
    full_integer: bool
    _precisions: dict[str, ComputePrecision] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """All QDQ pairs, in the order of the tensors' producers."""
        tensors = [*self.topology.index.inputs]
        tensors += [name for node in self.topology.operators for name in node.output if name]
        return tuple(edge for tensor in tensors for edge in self._tensor_edges(tensor))

    @cached_property
    def kept_float(self) -> dict[str, str]:
        """Node or tensor name to the reason why it stays in float."""
        kept: dict[str, str] = {}
        for node in self.topology.operators:
            if self.precision(node) == "float":
                kept[node.name] = self._float_reason(node)
            for tensor in node.output:
                if self._fused_activation(tensor):
                    kept[tensor] = (
                        f"target {self.profile.name} runs the convolution and its activation as "
                        "one operator; a QDQ pair between them would keep them from fusing"
                    )
        return kept

    def precision(self, node: onnx.NodeProto) -> ComputePrecision:
        """Return the precision ``node`` computes in.

        Raises:
            UsageError: it is promoted, and the target has no higher precision.
        """
        if node.name not in self._precisions:
            self._precisions[node.name] = self._decide(node)
        return self._precisions[node.name]

    def _decide(self, node: onnx.NodeProto) -> ComputePrecision:
        general = self.is_general(node)
        if general and not self._quantized_ends:
            return "float"
        if node.name in self.promoted:
            return self.profile.higher_precision(full_integer=self.full_integer)
        return self.parts["body"] if general else self._by_rule(node)

    def _by_rule(self, node: onnx.NodeProto) -> ComputePrecision:
        """Return the precision of a node whose operator is known."""
        index = self.topology.index
        if node.op_type in ACTIVATIONS:
            producer = index.producer(node.input[0])
            return self.parts["body"] if producer is None else self.precision(producer)
        if node.op_type in MOVERS or node.op_type == "Concat":
            wanted = {self.precision(reader) for reader in self.topology.readers(node.output[0])}
            if node.output[0] in index.outputs:
                wanted.add(self.parts["tail"])
            return wanted.pop() if len(wanted) == 1 else "float"
        if node.op_type == "Mul" and self.profile.residual_edges == "skip":
            return "float"
        return self.parts[self.topology.part(node)]

    def is_general(self, node: onnx.NodeProto) -> bool:
        """Tell whether nothing is known of an operator but that it takes tensors and gives some."""
        computed = node.op_type == "Conv" and not self.topology.index.is_constant(node.input[1])
        return node.op_type not in KNOWN or computed

    def _tensor_edges(self, tensor: str) -> list[Edge]:
        """Return a tensor's QDQ pairs: its producer's bit width, then one per other width."""
        index = self.topology.index
        producer = index.producer(tensor)
        made: ComputePrecision = "float" if producer is None else self.precision(producer)
        wishes = self._wishes(tensor)
        if self._fused_activation(tensor) or not wishes:
            return []
        edges: list[Edge] = []
        native = self._owns_output(tensor, made, wishes)
        if native:
            takers = tuple(r for r, wish in wishes.items() if wish in {made, "float"})
            edges.append(Edge(tensor, tensor, made, takers, None))
        for precision in sorted({w for w in wishes.values() if w not in {None, "float"}} - {made}):
            takers = tuple(reader for reader, wish in wishes.items() if wish == precision)
            name = f"{tensor}:{precision}" if edges else tensor
            edges.append(Edge(name, tensor, precision, takers, tensor if native else None))
        return edges

    def _owns_output(
        self, tensor: str, made: ComputePrecision, wishes: Mapping[str, ComputePrecision | None]
    ) -> bool:
        """Tell whether the producer's own integer type is placed on the tensor."""
        if made == "float":
            return False
        producer = self.topology.index.producer(tensor)
        convolution = producer is not None and producer.op_type == "Conv"
        if convolution and self.profile.convolution_output_pair:
            return True
        wanted = set(wishes.values()) - {None}
        return bool(wanted) and (self._quantized_ends or wanted != {"float"})

    def _wishes(self, tensor: str) -> dict[str, ComputePrecision | None]:
        """Return what each reader wants; ``None`` insists on the undisturbed float tensor."""
        wishes: dict[str, ComputePrecision | None] = {}
        for reader in self.topology.readers(tensor):
            precision: ComputePrecision | None = self.precision(reader)
            if (
                precision != "float"
                and self.profile.residual_edges == "skip"
                and self.topology.branch_input(reader) == tensor
            ):
                precision = None
            wishes[reader.name] = precision
        producer = self.topology.index.producer(tensor)
        if tensor in self.topology.index.outputs and producer is not None:
            wishes[GRAPH_OUTPUT] = self.precision(producer) if self._quantized_ends else "float"
        return wishes

    @property
    def _quantized_ends(self) -> bool:
        return self.full_integer or self.profile.every_operator

    def _fused_activation(self, tensor: str) -> bool:
        """Tell whether an integer convolution and its activation stay together on ``tensor``."""
        activation = self.topology.activation_of(tensor)
        return (
            activation is not None
            and self.profile.pair_before_activation != "needed"
            and self.precision(activation) != "float"
        )

    def _float_reason(self, node: onnx.NodeProto) -> str:
        if node.name in self.promoted:
            return self.promoted[node.name]
        part = self.topology.part(node)
        if self.is_general(node) and self.parts[part] != "float":
            return f"operator {node.op_type} is not one the planner can quantize"
        if node.op_type in MOVERS or node.op_type == "Concat":
            return "every operator that reads it is in float"
        if part == "trunk" and self.profile.residual_edges == "skip" and node.op_type == "Mul":
            return f"target {self.profile.name} takes the residual branch unquantized"
        reason = f"the {part} of the network is kept in float on target {self.profile.name}"
        gain_db = self.profile.float_gains_db.get(part)
        if gain_db is not None:
            reason += f": 8 bits there cost {gain_db:.1f} dB"
        if self._scales_channels(node):
            reason += (
                "; not folded: it undoes cross-layer equalization, one factor per channel, of the "
                "convolution before it"
            )
        return reason

    def _scales_channels(self, node: onnx.NodeProto) -> bool:
        scale = residual_scale(self.topology.index, node)
        return scale is not None and len(set(scale.values)) > 1
