"""A float32 graph and its calibration table in, a checked fp16 graph with float32 ends out.

fp16 holds magnitudes up to 65504 at 11 significant bits, and below 2^-14 loses a bit with every
halving. Some devices turn an overflow into a black picture (Real-ESRGAN issues 330, 632), so
every tensor's observed range and every weight is checked before anything is converted.

Tensors take the type of the node that makes them; a Cast is placed, once per tensor, where a
reader wants the other type. The graph's input and output stay float32 and fall under the same
rule, as do nodes that are to be left in float32. Constant factors that fp16 would round become
divisions by their exact reciprocal (quant/fp16_factors.py).
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.affine import Array
from quant.fp16_factors import divide_where_exact
from quant.ranges import Derivation, Ranges
from quant.topology import Topology

FP16_MAX = float(np.finfo(np.float16).max)
FP16_NORMAL = float(np.finfo(np.float16).tiny)

# Resize takes its scales (input 2) as float32 whatever the type of the picture.
_FLOAT32_SLOTS = {"Resize": frozenset({2})}


@dataclass(frozen=True)
class Fp16Finding:
    """How one tensor or weight fits fp16.

    Attributes:
        tensor: its name.
        kind: ``activation`` or ``weight``.
        largest: largest magnitude seen; NaN if a weight holds one.
        subnormal_share: share of the values below 2^-14: counted in a weight, where 0 is left
            out, and interpolated from the histogram of an activation, where it is not.
    """

    tensor: str
    kind: str
    largest: float
    subnormal_share: float

    @property
    def overflows(self) -> bool:
        """Tell whether a value lies beyond 65504, or is no number."""
        return not self.largest <= FP16_MAX

    @property
    def headroom(self) -> float:
        """How many times larger the largest value could be."""
        return FP16_MAX / self.largest if self.largest > 0.0 else float("inf")


def check_fp16(
    model: onnx.ModelProto, table: CalibrationTable, *, keep: Collection[str] = ()
) -> tuple[Fp16Finding, ...]:
    """Return how every tensor and weight that would become fp16 fits it, in graph order.

    Args:
        model: the float graph.
        table: statistics of ``observed_tensors(model)``; those of the others are derived.
        keep: names of nodes that stay in float32.

    Raises:
        UsageError: ``keep`` names no node.
        CalibrationError: the table lacks a tensor.
    """
    index = GraphIndex(model)
    _require_nodes(index, keep)
    ranges = Ranges(Derivation(Topology(index)), table.tensors)
    findings: list[Fp16Finding] = []
    for node in index.nodes:
        if node.op_type == "Constant":
            continue
        halved = node.name not in keep
        for slot, name in enumerate(node.input):
            value = index.constant(name) if name else None
            if halved and value is not None and _becomes_half(node, slot, value):
                findings.append(_weight_finding(name, value))
        findings.extend(
            _activation_finding(name, ranges)
            for name in filter(None, node.output)
            if halved or any(reader.name not in keep for reader in index.consumers(name))
        )
    return tuple({finding.tensor: finding for finding in findings}.values())


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


class _Converter:
    """Collects the nodes and initializers of the fp16 graph in order."""

    def __init__(self, index: GraphIndex, keep: Collection[str]) -> None:
        self._index = index
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
        self, node: onnx.NodeProto, slot: int, name: str, value: Array, wanted: int
    ) -> str:
        half = wanted == TensorProto.FLOAT16 and _becomes_half(node, slot, value)
        stored = f"{name}_half" if half else name
        content = value.astype(np.float16) if half else value
        self._constants[stored] = numpy_helper.from_array(content, stored)
        return stored

    def _place_cast(self, source: str, target: str, element_type: int) -> None:
        self._nodes.append(
            helper.make_node("Cast", [source], [target], f"{target}_Cast", to=element_type)
        )

    def _assemble(self) -> onnx.ModelProto:
        model, graph = self._index.model, self._index.model.graph
        converted = onnx.ModelProto()
        converted.ir_version = model.ir_version
        converted.opset_import.extend(model.opset_import)
        converted.producer_name = model.producer_name
        converted.producer_version = model.producer_version
        converted.graph.CopyFrom(
            helper.make_graph(
                self._nodes,
                graph.name,
                list(graph.input),
                list(graph.output),
                list(self._constants.values()),
            )
        )
        return onnx.shape_inference.infer_shapes(converted, strict_mode=True)


def _becomes_half(node: onnx.NodeProto, slot: int, value: Array) -> bool:
    kept_slots = _FLOAT32_SLOTS.get(node.op_type, frozenset())
    return value.dtype == np.float32 and slot not in kept_slots


def _float_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """Return the names of the activations that are float32."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    return frozenset(
        info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT
    )


def _weight_finding(name: str, value: Array) -> Fp16Finding:
    magnitude = np.abs(value)
    subnormal = np.count_nonzero((magnitude > 0.0) & (magnitude < FP16_NORMAL))
    largest = float(magnitude.max(initial=0.0))
    return Fp16Finding(name, "weight", largest, subnormal / max(value.size, 1))


def _activation_finding(name: str, ranges: Ranges) -> Fp16Finding:
    seen = ranges.distribution(name)
    largest = max(-seen.minimum, seen.maximum, 0.0)
    return Fp16Finding(name, "activation", largest, seen.share_within(FP16_NORMAL))


def _require_nodes(index: GraphIndex, names: Collection[str]) -> None:
    known = {node.name for node in index.nodes}
    for name in sorted(names):
        if name not in known:
            raise UsageError(f"found no node {name!r} to keep in float32; name one of the graph's")
