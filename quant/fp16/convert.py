"""Convert a float32 graph to a checked fp16 graph with float32 input and output.

Nothing is converted before every value is known to fit (quant/fp16/range.py).

Tensors take the type of the node that makes them; a Cast is placed, once per tensor, where a
reader wants the other type. The graph's input and output stay float32 and fall under the same
rule, as do nodes that are to be left in float32. Constant factors that fp16 would round become
divisions by their exact reciprocal (quant/fp16/exact_factors.py).
"""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calib.arrays import AnyArray
from calib.errors import GraphError
from calib.graph import GraphIndex, rewritten
from calib.table import CalibrationTable
from quant.fp16.exact_factors import divide_where_exact
from quant.fp16.range import becomes_half, check_fp16
from quant.numerics.half import FP16_MAX


def to_fp16(
    model: onnx.ModelProto, table: CalibrationTable, *, keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Return ``model`` in fp16 with float32 input and output; ``model`` is left as it is.

    Args:
        model: the float graph.
        table: statistics of ``observed_tensors(model)``.
        keep: names of nodes to leave in float32.

    Raises:
        GraphError: a tensor or weight does not fit fp16; the message names it.
        UsageError: ``keep`` names no node.
    """
    findings = check_fp16(model, table, keep=keep)
    worst = [finding for finding in findings if finding.overflows]
    if worst:
        named = ", ".join(f"{f.kind} {f.tensor!r} ({f.largest:.6g})" for f in worst[:5])
        more = f" and {len(worst) - 5} more" if len(worst) > 5 else ""
        raise GraphError(
            f"fp16 ends at {FP16_MAX:g}, found {named}{more}; "
            "keep the nodes that make and read them in float32"
        )
    converted = _Converter(GraphIndex(divide_where_exact(model, keep)), keep).convert()
    onnx.checker.check_model(converted, full_check=True)
    return converted


def all_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph of float32 values that is fp16 but for its ends; ``model`` is left as it is.

    Its constants and tensors keep their names. That its values fit is the caller's to know.

    Args:
        model: float or QDQ, of an opset whose QuantizeLinear takes fp16.

    Raises:
        GraphError: a constant is read in both types.
    """
    return _Converter(GraphIndex(divide_where_exact(model)), (), suffix="").convert()


class _Converter:
    """Collects the nodes and initializers of the fp16 graph in order."""

    def __init__(self, index: GraphIndex, keep: Collection[str], suffix: str = "_half") -> None:
        self._index = index
        self._suffix = suffix
        self._keep = frozenset(keep)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._float = _float_tensors(index.model)
        # The element type and the name under which each tensor was made, and its casts.
        self._native: dict[str, tuple[int, str]] = {
            name: (TensorProto.FLOAT, name) for name in index.inputs
        }
        self._cast: dict[tuple[str, int], str] = {}

    def convert(self) -> onnx.ModelProto:
        for node in self._index.nodes:
            if node.op_type == "Constant":
                continue
            wanted = TensorProto.FLOAT if node.name in self._keep else TensorProto.FLOAT16
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for attribute in copy.attribute if node.op_type == "Cast" else ():
                if (attribute.name, attribute.i) == ("to", TensorProto.FLOAT):
                    attribute.i = wanted
            for slot, name in enumerate(node.input):
                copy.input[slot] = self._operand(node, slot, name, wanted)
            for slot, name in enumerate(node.output):
                copy.output[slot] = self._made_name(name, wanted)
                self._native[name] = (wanted, copy.output[slot])
            self._nodes.append(copy)
            for name in node.output:
                if name in self._index.outputs and copy.output[0] != name:
                    self._place_cast(copy.output[0], name, TensorProto.FLOAT)
        return self._assemble()

    def _made_name(self, name: str, wanted: int) -> str:
        if name in self._index.outputs and wanted == TensorProto.FLOAT16:
            return f"{name}_half"
        return name

    def _operand(self, node: onnx.NodeProto, slot: int, name: str, wanted: int) -> str:
        value = self._index.constant(name) if name else None
        if value is not None:
            return self._constant(node, slot, name, value, wanted)
        if name not in self._float:
            return name
        made, made_name = self._native[name]
        if made == wanted:
            return made_name
        suffix = "float" if wanted == TensorProto.FLOAT else "half"
        key = (name, wanted)
        if key not in self._cast:
            self._cast[key] = f"{name}_as_{suffix}"
            self._place_cast(made_name, self._cast[key], wanted)
        return self._cast[key]

    def _constant(
        self, node: onnx.NodeProto, slot: int, name: str, value: AnyArray, wanted: int
    ) -> str:
        half = wanted == TensorProto.FLOAT16 and becomes_half(node, slot, value)
        stored = f"{name}{self._suffix}" if half else name
        made = numpy_helper.from_array(value.astype(np.float16) if half else value, stored)
        if self._constants.setdefault(stored, made).data_type != made.data_type:
            raise GraphError(f"constant {name!r} is read as fp16 and as float32; give each its own")
        return stored

    def _place_cast(self, source: str, target: str, element_type: int) -> None:
        self._nodes.append(
            helper.make_node("Cast", [source], [target], f"{target}_Cast", to=element_type)
        )

    def _assemble(self) -> onnx.ModelProto:
        constants = list(self._constants.values())
        converted = rewritten(self._index.model, self._nodes, constants)
        return onnx.shape_inference.infer_shapes(converted, strict_mode=True)


def _float_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """Return the names of the activations that are float32."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    return frozenset(
        info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT
    )
