"""Give a graph of fp16 values float32 ones: the same operators, every half a float of its value.

Nothing is rounded: float32 holds every value of fp16 and bf16. What the graph gives out is then
what it means, without the rounding of half arithmetic, which each runtime does in its own way.
"""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from calib.errors import GraphError
from calib.graph import QDQ_PAIR, GraphIndex

HALF_TYPES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
_TYPE_ATTRIBUTES = frozenset({"to", "dtype", "stash_type"})


def in_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with float32 in the place of fp16 and bf16; ``model`` is not changed."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    graph = wide.graph
    for tensor in graph.initializer:
        _widen(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
            elif attribute.name in _TYPE_ATTRIBUTES and attribute.i in HALF_TYPES:
                attribute.i = TensorProto.FLOAT
    for value in (*graph.input, *graph.output):
        kind = value.type.tensor_type
        if kind.elem_type in HALF_TYPES:
            kind.elem_type = TensorProto.FLOAT
    del graph.value_info[:]  # of half types: inferred again where they are needed
    return wide


def reference_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph whose values are what a QDQ graph means: that of fp16 scales in float32.

    How a provider computes fp16 nodes depends on what stands beside them, and on the processor.
    """
    scales = {node.input[1] for node in model.graph.node if node.op_type in QDQ_PAIR}
    typed = any(t.name in scales and t.data_type in HALF_TYPES for t in model.graph.initializer)
    return in_float32(model) if typed else model


def without_idle_casts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without casts of a type to itself, of which widening leaves many."""
    index = GraphIndex(onnx.shape_inference.infer_shapes(model))
    idle = onnx.ModelProto()
    idle.CopyFrom(model)
    for node in idle.graph.node:
        if node.op_type not in {"Cast", "CastLike"}:
            continue
        taken, given = (_element_type(index, name) for name in (node.input[0], node.output[0]))
        if taken is not None and taken == given:
            node.op_type = "Identity"
            del node.input[1:]
            del node.attribute[:]
    return idle


def _element_type(index: GraphIndex, tensor: str) -> int | None:
    try:
        return index.element_type(tensor)
    except GraphError:  # not known: a cast of it stays
        return None


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type in HALF_TYPES:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
