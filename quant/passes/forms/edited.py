"""Edit the ends of a graph in a copy, under names by which the edit is found again and undone."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calib.arrays import AnyArray
from calib.errors import GraphError


class EditedGraph:
    """A copy of a model whose new nodes, tensors and constants carry a prefix.

    Args:
        model: what is edited; it is not changed.
        prefix: names of everything new begin with it.
    """

    def __init__(self, model: onnx.ModelProto, prefix: str) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.prefix = prefix

    @property
    def graph(self) -> onnx.GraphProto:
        """The graph, to be changed."""
        return self.model.graph

    def position(self, output: str) -> int:
        """Return where the node stands that makes a tensor.

        Raises:
            GraphError: none does.
        """
        for place, node in enumerate(self.graph.node):
            if output in node.output:
                return place
        raise GraphError(f"no node makes the tensor {output!r}")

    def node(self, output: str) -> onnx.NodeProto:
        """Return the node that makes a tensor."""
        return self.graph.node[self.position(output)]

    def rewire(self, outputs: Iterable[str], old: str, new: str) -> None:
        """Let the nodes that make some tensors read another one in the place of ``old``."""
        for output in outputs:
            reads = self.node(output).input
            for slot, name in enumerate(reads):
                if name == old:
                    reads[slot] = new

    def insert(
        self, place: int, operator: str, reads: Sequence[str], makes: str, **attributes: Any
    ) -> None:
        """Put a new node at a place of the order; its name follows from what it makes."""
        name = f"{self.prefix}{makes.removeprefix(self.prefix)}_{operator}"
        self.graph.node.insert(
            place, helper.make_node(operator, reads, [makes], name, **attributes)
        )

    def constant(self, name: str, value: AnyArray) -> str:
        """Add a constant and return its name."""
        full = f"{self.prefix}{name}"
        self.graph.initializer.append(numpy_helper.from_array(value, full))
        return full

    def replace_constant(self, name: str, value: AnyArray) -> None:
        """Give a constant another value."""
        for tensor in self.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def state(self, name: str, element_type: int, shape: Sequence[int]) -> None:
        """State the type and shape of a new tensor."""
        value = helper.make_tensor_value_info(name, element_type, shape)
        self.graph.value_info.append(value)

    def reshape(self, name: str, shape: Sequence[int]) -> None:
        """State another shape of a tensor, or of an end, where one is stated."""
        for value in (*self.graph.input, *self.graph.output, *self.graph.value_info):
            if value.name == name:
                for dim, side in zip(value.type.tensor_type.shape.dim, shape, strict=True):
                    dim.dim_value = side

    def is_own(self, name: str) -> bool:
        """Tell whether a name is of something that the edit has made."""
        return name.startswith(self.prefix)

    def remove_own(self) -> None:
        """Remove all nodes, constants and statements that the edit has made."""
        graph = self.graph
        nodes = [item for item in graph.node if not self.is_own(item.name)]
        constants = [item for item in graph.initializer if not self.is_own(item.name)]
        stated = [item for item in graph.value_info if not self.is_own(item.name)]
        for field in ("node", "initializer", "value_info"):
            graph.ClearField(field)
        graph.node.extend(nodes)
        graph.initializer.extend(constants)
        graph.value_info.extend(stated)
