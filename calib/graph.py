"""Index the nodes, tensors and shapes of an ONNX model, for reading only.

The index answers what a pass, a planner or an observer asks of a graph: who makes this tensor,
who reads it, what constant is it, what shape has it. It never changes the model, and the model
must not be changed while an index of it is in use.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from calib.arrays import AnyArray
from calib.digest import sha256_bytes
from calib.errors import GraphError
from calib.form import Form

QDQ_PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""The operators of a QDQ pair."""
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
"""The operators of convolutions in float, and between QDQ pairs."""

_TensorType = tuple[int, tuple[int, ...] | None]


def graph_digest(model: onnx.ModelProto) -> str:
    """Return the sha256 of the model's deterministic serialization.

    Equal to the sha256 of the file when the file was written by the same serialization.
    """
    return sha256_bytes(model.SerializeToString(deterministic=True))


_SHAPE_INPUTS = {("Reshape", 1), ("Expand", 1), ("Resize", 3)}
"""Operator and position of the inputs that state a shape."""


def network_digest(model: onnx.ModelProto) -> str:
    """Return a sha256 of a graph that is the same for the same network at any input size and batch.

    It covers operator sets, nodes with their wiring and attributes, names and types of the ends,
    and every constant. Left out are the dimensions of tensors that are no constants, and the values
    of constants that nothing but a Reshape, an Expand or a Resize reads, as a shape.
    """
    graph = model.graph
    readers = defaultdict(set)
    for node in graph.node:
        for position, name in enumerate(node.input):
            readers[name].add((node.op_type, position) in _SHAPE_INPUTS)
    ends = [(end.name, end.type.tensor_type.elem_type) for end in (*graph.input, *graph.output)]
    parts = [repr((ends, sorted((o.domain, o.version) for o in model.opset_import))).encode()]
    parts += [node.SerializeToString(deterministic=True) for node in graph.node]
    for tensor in graph.initializer:
        is_shape = readers[tensor.name] == {True}
        stated = repr((tensor.name, tensor.data_type, tuple(tensor.dims))).encode()
        parts.append(stated if is_shape else tensor.SerializeToString(deterministic=True))
    return sha256_bytes(b"".join(sha256_bytes(part).encode() for part in parts))


def form_of(model: onnx.ModelProto) -> Form:
    """Return the form in which a model takes and gives pictures.

    Raises:
        GraphError: its metadata state one that there is not.
    """
    return Form.stated_in({item.key: item.value for item in model.metadata_props})


def attribute_of(node: onnx.NodeProto, name: str, default: object) -> Any:
    """Return the value of a node's attribute, or ``default`` where it is not stated."""
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def rewritten(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[onnx.TensorProto],
) -> onnx.ModelProto:
    """Return a model of other nodes and constants, with the ends, opsets and producer of one.

    Args:
        model: gives everything else; it is not changed.
        nodes: in topological order.
        initializers: the constants that they read.
    """
    graph = model.graph
    made = onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )
    made.graph.CopyFrom(
        onnx.helper.make_graph(
            nodes, graph.name, list(graph.input), list(graph.output), initializers
        )
    )
    return made


@dataclass(frozen=True, eq=False)
class GraphIndex:
    """Read-only index of an ONNX model without control flow.

    Attributes:
        model: the indexed model; shared, not copied.

    Raises:
        GraphError: on first use, if the nodes form a cycle, a tensor is read that nothing
            makes, a tensor is made twice, or a node carries a subgraph.
    """

    model: onnx.ModelProto

    @classmethod
    def of(cls, model: "onnx.ModelProto | GraphIndex") -> "GraphIndex":
        """Return the index of a model, or the one that is there already."""
        return model if isinstance(model, GraphIndex) else cls(model)

    @cached_property
    def digest(self) -> str:
        """The model's :func:`graph_digest`, taken once: a big model takes a third of a second."""
        return graph_digest(self.model)

    @cached_property
    def network_digest(self) -> str:
        """The model's :func:`network_digest`, taken once."""
        return network_digest(self.model)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph inputs that are no initializers, in the model's order."""
        return tuple(i.name for i in self.model.graph.input if i.name not in self._tensors)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph outputs, in the model's order."""
        return tuple(o.name for o in self.model.graph.output)

    @cached_property
    def nodes(self) -> tuple[onnx.NodeProto, ...]:
        """All nodes in topological order; the model's own order where it is one already."""
        nodes = list(self.model.graph.node)
        position = {id(node): number for number, node in enumerate(nodes)}
        waits = {
            number: len({id(p) for name in node.input if (p := self.producer(name)) is not None})
            for number, node in enumerate(nodes)
        }
        ready = [number for number, count in waits.items() if count == 0]
        ordered: list[onnx.NodeProto] = []
        while ready:
            node = nodes[heapq.heappop(ready)]
            ordered.append(node)
            readers = {position[id(c)] for name in node.output for c in self.consumers(name)}
            for number in readers:
                waits[number] -= 1
                if waits[number] == 0:
                    heapq.heappush(ready, number)
        if len(ordered) != len(nodes):
            stuck = next(nodes[number].name for number, count in waits.items() if count > 0)
            raise GraphError(f"the graph has a cycle through node {stuck!r}; ONNX allows none")
        return tuple(ordered)

    @cached_property
    def initializers(self) -> MappingProxyType[str, onnx.TensorProto]:
        """Initializer protos by name."""
        return MappingProxyType(self._tensors)

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """Return the node that makes ``tensor``; ``None`` for inputs and initializers."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[onnx.NodeProto, ...]:
        """Return the nodes that read ``tensor``, each once, in the model's order."""
        return self._consumers.get(tensor, ())

    def initializer(self, name: str) -> AnyArray | None:
        """Return the value of the initializer ``name`` as a new array, or ``None``."""
        proto = self._tensors.get(name)
        return None if proto is None else numpy_helper.to_array(proto)

    def constant(self, name: str) -> AnyArray | None:
        """Return the value of an initializer or of a Constant node's output, or ``None``."""
        node = self.producer(name)
        if node is None or node.op_type != "Constant":
            return self.initializer(name)
        for attribute in node.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if attribute.name == "value":
                return numpy_helper.to_array(value)
            if attribute.name in {"value_float", "value_floats"}:
                return np.asarray(value, np.float32)
            if attribute.name in {"value_int", "value_ints"}:
                return np.asarray(value, np.int64)
        return None

    def is_constant(self, name: str) -> bool:
        """Tell whether ``name`` is an initializer or the output of a Constant node."""
        node = self.producer(name)
        return name in self._tensors or (node is not None and node.op_type == "Constant")

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """Return the static shape of ``tensor``, or ``None`` where a dimension is not known."""
        proto = self._tensors.get(tensor)
        return self._types.get(tensor, (0, None))[1] if proto is None else tuple(proto.dims)

    def element_type(self, tensor: str) -> int:
        """Return the ``onnx.TensorProto.DataType`` of ``tensor``.

        Raises:
            GraphError: shape inference cannot tell.
        """
        proto = self._tensors.get(tensor)
        found = self._types.get(tensor, (0, None))[0] if proto is None else proto.data_type
        if not found:
            raise GraphError(f"the type of tensor {tensor!r} is neither stated nor inferable")
        return found

    def size_bytes(self, tensor: str) -> int:
        """Return the bytes that ``tensor`` takes.

        Raises:
            GraphError: its shape is not static, or its type is not known.
        """
        shape = self.shape(tensor)
        if shape is None:
            raise GraphError(
                f"tensor {tensor!r} has no static shape; export the graph with fixed dimensions"
            )
        dtype = onnx.helper.tensor_dtype_to_np_dtype(self.element_type(tensor))
        return dtype.itemsize * math.prod(shape)

    def has_tensor(self, tensor: str) -> bool:
        """Tell whether a node makes ``tensor`` or the graph takes it as input."""
        return tensor in self._producers or tensor in self.inputs

    @cached_property
    def _tensors(self) -> dict[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @cached_property
    def _producers(self) -> dict[str, onnx.NodeProto]:
        producers: dict[str, onnx.NodeProto] = {}
        for node in self.model.graph.node:
            for name in filter(None, node.output):
                if name in producers or name in self._tensors:
                    raise GraphError(f"tensor {name!r} is made twice; ONNX allows one producer")
                producers[name] = node
        return producers

    @cached_property
    def _consumers(self) -> dict[str, tuple[onnx.NodeProto, ...]]:
        known = {"", *self.inputs, *self._tensors, *self._producers}
        consumers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.model.graph.node:
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise GraphError(
                    f"node {node.name!r} ({node.op_type}) carries a subgraph; "
                    "only graphs without control flow are supported"
                )
            for name in dict.fromkeys(node.input):
                if name not in known:
                    raise GraphError(f"node {node.name!r} reads {name!r}, which nothing makes")
                if name:
                    consumers[name].append(node)
        return {name: tuple(readers) for name, readers in consumers.items()}

    @cached_property
    def _types(self) -> dict[str, _TensorType]:
        """Types from the model's own value infos, completed by ONNX shape inference."""
        types = _tensor_types(self.model.graph)
        if any(name not in types for name in self._producers):
            types = _tensor_types(onnx.shape_inference.infer_shapes(self.model).graph) | types
        return types


def _tensor_types(graph: onnx.GraphProto) -> dict[str, _TensorType]:
    types = {}
    for info in (*graph.input, *graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        if tensor.elem_type:
            static = tensor.HasField("shape") and all(
                dim.HasField("dim_value") for dim in tensor.shape.dim
            )
            shape = tuple(dim.dim_value for dim in tensor.shape.dim) if static else None
            types[info.name] = (tensor.elem_type, shape)
    return types
