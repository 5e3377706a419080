"""Find the part of the network that each node belongs to.

The parts are found from the wiring alone, never from names, so a graph from another exporter is
read the same way:

    head    convolutions that see the picture itself
    body    convolutions between head and tail, with the activations and Concats between them
    trunk   additions and multiplications by constants: the residual path; Max, which is an
            activation written with such a multiplication
    tail    convolutions, activations and reshapings from the first upsampling on

A network that gives out a map (calib/output_kind.py) has no tail: what a U-Net enlarges on its way
back is of its body.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import onnx

from calib.errors import GraphError
from calib.graph import GraphIndex, attribute_of
from calib.output_kind import output_kind

Part = Literal["head", "body", "trunk", "tail"]

ACTIVATIONS = frozenset({"LeakyRelu", "PRelu", "Relu"})
RESIDUAL = frozenset({"Add", "Mul", "Max"})
UPSAMPLERS = frozenset({"Resize", "DepthToSpace", "ConvTranspose"})
# Operators that move values and make none: input and output have the same range and scale.
MOVERS = frozenset(
    {
        "Resize",
        "DepthToSpace",
        "SpaceToDepth",
        "Reshape",
        "Transpose",
        "Slice",
        "Identity",
        "Flatten",
    }
)
KNOWN = ACTIVATIONS | RESIDUAL | MOVERS | {"Conv", "Concat"}

_SAY_HOW_IN_FLOATS = frozenset({"Resize", "Clip", "Pad"})


def says_how(operator: str, slot: int) -> bool:
    """Tell whether an operand of floats says how to compute, and is no value computed with.

    Factors, bounds and what is padded with stay as they are where values are quantized. So do
    operands of integers, of every operator: counts, axes, positions.

    >>> says_how("Clip", 1), says_how("Clip", 0), says_how("Add", 1)
    (True, False, False)
    """
    return slot > 0 and operator in _SAY_HOW_IN_FLOATS


def keeps_values(node: onnx.NodeProto) -> bool:
    """Tell whether a node moves values of its input and makes none between them."""
    copies = node.op_type != "Resize" or attribute_of(node, "mode", b"nearest") == b"nearest"
    return node.op_type in MOVERS and copies


@dataclass(frozen=True, eq=False)
class Topology:
    """The wiring of a float graph as the planner sees it.

    Attributes:
        index: the graph.

    Raises:
        GraphError: on creation, if a node has no name, or one that another node has.
    """

    index: GraphIndex

    def __post_init__(self) -> None:
        names: set[str] = set()
        for node in self.index.nodes:
            if not node.name or node.name in names:
                raise GraphError(
                    f"found {'a second' if node.name else 'an unnamed'} node {node.name!r} "
                    f"({node.op_type}); a plan needs every node to have a name of its own"
                )
            names.add(node.name)

    @cached_property
    def pictures(self) -> frozenset[str]:
        """The ends of the graph that hold pictures, of values in [0, 1]."""
        gives_picture = output_kind(self.index.model) == "picture"
        return frozenset((*self.index.inputs, *(self.index.outputs if gives_picture else ())))

    @cached_property
    def operators(self) -> tuple[onnx.NodeProto, ...]:
        """The nodes that compute on activations, in topological order."""
        return tuple(node for node in self.index.nodes if node.op_type != "Constant")

    def data_inputs(self, node: onnx.NodeProto) -> tuple[str, ...]:
        """Return the activations that ``node`` reads, constants left out, each once."""
        names = dict.fromkeys(node.input)
        return tuple(name for name in names if name and not self.index.is_constant(name))

    def readers(self, tensor: str) -> tuple[onnx.NodeProto, ...]:
        """Return the nodes that read ``tensor`` as an activation."""
        return self.index.consumers(tensor)

    def part(self, node: onnx.NodeProto) -> Part:
        """Return the part of the network that ``node`` belongs to."""
        if node.op_type in RESIDUAL:
            return "trunk"
        if node.name in self._behind_upsampling:
            return "tail"
        return "head" if node.name in self._at_picture else "body"

    def activation_of(self, tensor: str) -> onnx.NodeProto | None:
        """Return the activation that alone reads ``tensor``, a convolution's output."""
        producer, readers = self.index.producer(tensor), self.readers(tensor)
        if producer is None or producer.op_type != "Conv" or len(readers) != 1:
            return None
        if tensor in self.index.outputs or readers[0].op_type not in ACTIVATIONS:
            return None
        return readers[0]

    def branch_input(self, node: onnx.NodeProto) -> str | None:
        """Return the input of a residual Add that more convolutions lie behind.

        ``None`` if the node is no Add of two activations, or both inputs are equally deep.
        """
        inputs = self.data_inputs(node)
        if node.op_type != "Add" or len(inputs) != 2:
            return None
        first, second = (self._depths.get(name, 0) for name in inputs)
        if first == second:
            return None
        return inputs[0] if first > second else inputs[1]

    @cached_property
    def _depths(self) -> dict[str, int]:
        """Largest number of convolutions on a path from the picture to each tensor."""
        depths: dict[str, int] = {}
        for node in self.operators:
            depth = max((depths.get(name, 0) for name in self.data_inputs(node)), default=0)
            depths.update(dict.fromkeys(node.output, depth + (node.op_type == "Conv")))
        return depths

    @cached_property
    def _behind_upsampling(self) -> frozenset[str]:
        """Names of the upsamplers that follow a convolution, and of all nodes behind them."""
        if not self.pictures.issuperset(self.index.outputs):
            return frozenset()
        convolved: set[str] = set()
        upsampled: set[str] = set()
        behind: set[str] = set()
        for node in self.operators:
            inputs = self.data_inputs(node)
            after_convolution = any(name in convolved for name in inputs)
            if any(name in upsampled for name in inputs) or (
                after_convolution and node.op_type in UPSAMPLERS
            ):
                behind.add(node.name)
                upsampled.update(node.output)
            if after_convolution or node.op_type == "Conv":
                convolved.update(node.output)
        return frozenset(behind)

    @cached_property
    def _at_picture(self) -> frozenset[str]:
        """Names of the nodes up to and with the first convolution and its activation."""
        picture = set(self.index.inputs)
        head: set[str] = set()
        for node in self.operators:
            if not any(name in picture for name in self.data_inputs(node)):
                continue
            if node.op_type in MOVERS:
                head.add(node.name)
                picture.update(node.output)
            elif node.op_type == "Conv":
                head.add(node.name)
                activation = self.activation_of(node.output[0])
                if activation is not None:
                    head.add(activation.name)
        return frozenset(head)
