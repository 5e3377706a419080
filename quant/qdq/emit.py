"""Write the QDQ graph of a float graph and its plan.

Names follow the tensor they belong to:

    t_QuantizeLinear, t_DequantizeLinear     the nodes
    t_scale, t_zero_point                    their parameters
    t_quantized, t_dequantized               integers and values between them

A Concat of int8 tensors (quant/planning/integer_concats.py) gives its integers out as t itself,
with no QuantizeLinear. Where its inputs have zero points of their own, they are padded before it,
once for all Concats that read them, in place of the convolutions behind it:

    t_padded_1_1_1_1                         the integers of t, around them its zero point

A weight is stored as int8 with one scale per output channel, a bias as int32 with scale
``input scale * weight scale``, which is the unit of an integer convolution's accumulator, with what
it makes up for of zero points apart. Where the plan wants all else in fp16, the graph is typed so
at the end (quant/qdq/typed.py); names stay.
"""

from functools import cached_property

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calib.arrays import AnyArray, Float32, Int8
from calib.errors import GraphError
from calib.graph import GraphIndex, attribute_of, rewritten
from quant.numerics.affine import INTEGER_TYPES, IntegerType, quantize
from quant.passes.prepared import PreparedGraph
from quant.plan import GRAPH_OUTPUT, EdgeQuant, QuantPlan, WeightQuant
from quant.qdq.int8_weights import RoundedWeights, bias_codes, round_to_nearest
from quant.qdq.opset import OPSET_16_BITS, raise_opset
from quant.qdq.typed import strongly_typed
from quant.qdq.zero_points import integers_apart, shifted_bias, values_apart


def emit_qdq(prepared: PreparedGraph, rounded: RoundedWeights | None = None) -> onnx.ModelProto:
    """Return the QDQ graph that a plan describes.

    Args:
        prepared: the float graph under the plan; it is left as it is.
        rounded: int8 weights and biases to use in place of rounding the graph's own.

    Raises:
        GraphError: rounded weights do not fit theirs, or a bias does not fit int32.
    """
    emitter = _Emitter(prepared.index, prepared.plan, rounded or RoundedWeights())
    emitted = emitter.emit()
    if prepared.plan.float_type == "float16":
        emitted = strongly_typed(emitted)
    onnx.checker.check_model(emitted, full_check=True)
    return emitted


class _Emitter:
    """Collects the nodes and initializers of the QDQ graph in order."""

    def __init__(self, index: GraphIndex, plan: QuantPlan, rounded: RoundedWeights) -> None:
        self._index = index
        self._plan = plan
        self._rounded = rounded
        self._nodes: list[onnx.NodeProto] = []
        self._made: dict[str, onnx.TensorProto] = {}
        self._weight_of = {quant.node: name for name, quant in plan.weights.items()}
        self._edges_on: dict[str, list[str]] = {}
        for name, edge in plan.edges.items():
            self._edges_on.setdefault(edge.tensor, []).append(name)
        self._renamed: dict[str, str] = {}
        self._restored: set[str] = set()
        self._padded: set[str] = set()

    def emit(self) -> onnx.ModelProto:
        for name in self._index.inputs:
            self._emit_edges(name)
        for node in self._index.nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for slot, name in enumerate(node.input):
                copy.input[slot] = self._operand(node, slot, name)
            for slot, name in enumerate(node.output):
                copy.output[slot] = self._renamed.setdefault(name, self._raw_name(name))
            if node.op_type == "Conv" and integers_apart(self._index, self._plan, node.input[0]):
                pads = next((one for one in copy.attribute if one.name == "pads"), None)
                if pads is not None:
                    pads.ints[:] = [0] * len(pads.ints)
            self._nodes.append(copy)
            for name in filter(None, node.output):
                self._emit_edges(name)
        return self._assemble()

    def _raw_name(self, tensor: str) -> str:
        """Return the name of the undisturbed tensor: another one if a QDQ pair makes the output."""
        edge = self._plan.edge_read_by(tensor, GRAPH_OUTPUT)
        return tensor if edge is None else f"{tensor}_float"

    def _operand(self, node: onnx.NodeProto, slot: int, name: str) -> str:
        quant = self._plan.weights.get(self._weight_of.get(node.name, ""))
        if quant is not None and slot == 1:
            return self._emit_weight(name, quant)
        if quant is not None and slot == 2:
            return self._emit_bias(node, name, quant)
        constant = self._plan.constants.get(name)
        if constant is not None and node.name in constant.readers:
            integer = INTEGER_TYPES[constant.dtype]
            value = self._float_constant(name)
            self._parameters(name, np.float32(constant.scale), constant.zero_point, integer)
            self._put(
                f"{name}_quantized", quantize(value, constant.scale, constant.zero_point, integer)
            )
            return self._dequantize(name, axis=None)
        if name in self._plan.stored_half:
            return self._emit_half(name)
        return self._activation(node, name)

    def _activation(self, node: onnx.NodeProto, name: str) -> str:
        edge = self._plan.edge_read_by(name, node.name)
        if edge is None or values_apart(self._index, self._plan, name):
            return self._renamed.get(name, name)
        if node.name in self._plan.integer_concats:
            return self._joined(node, edge)
        return self._dequantized_name(edge)

    def _joined(self, concat: onnx.NodeProto, edge: str) -> str:
        """Return the integers of an edge that a Concat reads, padded where it has to be."""
        codes = self._codes_name(edge)
        if not integers_apart(self._index, self._plan, concat.output[0]):
            return codes
        around = attribute_of(self._index.consumers(concat.output[0])[0], "pads", [0] * 4)
        if not any(around):
            return codes
        sides = "_".join(map(str, around))
        pads, padded = f"pads_{sides}", f"{edge}_padded_{sides}"
        if padded not in self._padded:
            self._padded.add(padded)
            top, left, bottom, right = around
            self._put(pads, np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
            self._nodes.append(
                helper.make_node(
                    "Pad", [codes, pads, f"{edge}_zero_point"], [padded], f"{edge}_Pad_{sides}"
                )
            )
        return padded

    def _emit_edges(self, tensor: str) -> None:
        if values_apart(self._index, self._plan, tensor):
            return
        for name in self._edges_on.get(tensor, ()):
            edge = self._plan.edges[name]
            source = self._renamed.get(tensor, tensor)
            if edge.after is not None:
                source = self._dequantized_name(edge.after)
            codes = self._codes_name(name)
            self._parameters(name, np.float32(edge.scale), edge.zero_point, edge.integer)
            parameters = [f"{name}_scale", f"{name}_zero_point"]
            if codes != source:  # else a Concat has made its integers
                self._nodes.append(
                    helper.make_node(
                        "QuantizeLinear",
                        [source, *parameters],
                        [codes],
                        f"{name}_QuantizeLinear",
                    )
                )
            if name in self._read_as_values:
                self._nodes.append(
                    helper.make_node(
                        "DequantizeLinear",
                        [codes, *parameters],
                        [self._dequantized_name(name)],
                        f"{name}_DequantizeLinear",
                    )
                )

    @cached_property
    def _read_as_values(self) -> set[str]:
        """Names of the edges that something other than a Concat of integers reads."""
        joins = set(self._plan.integer_concats)
        edges = self._plan.edges
        behind = {edge.after for edge in edges.values() if edge.after is not None}
        return behind | {name for name, edge in edges.items() if not joins.issuperset(edge.readers)}

    def _codes_name(self, name: str) -> str:
        edge: EdgeQuant = self._plan.edges[name]
        producer = self._index.producer(edge.tensor)
        joined = producer is not None and producer.name in self._plan.integer_concats
        return edge.tensor if joined and edge.after is None else f"{name}_quantized"

    def _dequantized_name(self, name: str) -> str:
        edge: EdgeQuant = self._plan.edges[name]
        return edge.tensor if GRAPH_OUTPUT in edge.readers else f"{name}_dequantized"

    def _emit_weight(self, name: str, quant: WeightQuant) -> str:
        weight, codes = self._float_constant(name), self._codes(name, quant)
        if codes.shape != weight.shape or codes.dtype != np.int8:
            raise GraphError(
                f"the int8 weights given for {name!r} are {codes.dtype}{list(codes.shape)}; "
                f"expected int8{list(weight.shape)}"
            )
        if excess := quant.limits.excess(codes):
            raise GraphError(
                f"the int8 weights given for {name!r} lie {excess} beyond what "
                f"{quant.accumulator_bits}-bit accumulation allows"
            )
        self._parameters(name, quant.scale_array, 0, INTEGER_TYPES["int8"])
        self._put(f"{name}_quantized", codes)
        return self._dequantize(name, axis=0)

    def _codes(self, name: str, quant: WeightQuant) -> Int8:
        codes = self._rounded.codes.get(name)
        return round_to_nearest(self._float_constant(name), quant) if codes is None else codes

    def _emit_bias(self, node: onnx.NodeProto, name: str, quant: WeightQuant) -> str:
        bias = self._rounded.biases.get(name)
        value = self._float_constant(name) if bias is None else bias
        if quant.bias is None:
            if bias is None:
                return name
            self._put(f"{name}_refined", np.asarray(bias, np.float32))
            return f"{name}_refined"
        key = name if len(self._index.consumers(name)) == 1 else f"{node.name}_bias"
        through = self._plan.edge_read_by(node.input[0], node.name)
        if through is None:
            raise GraphError(f"the plan quantizes the bias of {node.name!r} but not its input")
        scales = np.float32(self._plan.edges[through].scale) * quant.scale_array
        steps = bias_codes(name, value, scales)
        if integers_apart(self._index, self._plan, node.input[0]):
            steps = shifted_bias(
                self._index, self._plan, node, steps, self._codes(node.input[1], quant)
            )
        self._parameters(key, scales, 0, INTEGER_TYPES["int32"])
        self._put(f"{key}_quantized", steps)
        return self._dequantize(key, axis=0)

    def _emit_half(self, name: str) -> str:
        """Store a float weight as fp16 and place the Cast that restores it, once."""
        restored = f"{name}_restored"
        if restored not in self._restored:
            self._restored.add(restored)
            self._put(f"{name}_half", self._float_constant(name).astype(np.float16))
            self._nodes.append(
                helper.make_node(
                    "Cast", [f"{name}_half"], [restored], f"{name}_Cast", to=onnx.TensorProto.FLOAT
                )
            )
        return restored

    def _dequantize(self, name: str, axis: int | None) -> str:
        """Place DequantizeLinear behind a quantized constant, once, and return its output."""
        output = f"{name}_dequantized"
        if output not in self._restored:
            self._restored.add(output)
            inputs = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
            node = helper.make_node(
                "DequantizeLinear", inputs, [output], f"{name}_DequantizeLinear"
            )
            if axis is not None:
                node.attribute.append(helper.make_attribute("axis", axis))
            self._nodes.append(node)
        return output

    def _parameters(
        self, name: str, scale: AnyArray | np.float32, zero_point: int, integer: IntegerType
    ) -> None:
        scales = np.asarray(scale, np.float32)
        self._put(f"{name}_scale", scales)
        self._put(f"{name}_zero_point", np.full(scales.shape, zero_point, integer.name))

    def _put(self, name: str, value: AnyArray) -> None:
        self._made[name] = numpy_helper.from_array(value, name)

    def _float_constant(self, name: str) -> Float32:
        value = self._index.constant(name)
        if value is None or value.dtype != np.float32:
            raise GraphError(f"expected {name!r} to be a float32 constant")
        return value

    def _assemble(self) -> onnx.ModelProto:
        model = self._index.model
        read = {name for node in self._nodes for name in node.input} | set(self._index.outputs)
        nodes = [n for n in self._nodes if n.op_type != "Constant" or n.output[0] in read]
        initializers = [t for t in model.graph.initializer if t.name in read]
        initializers += [tensor for name, tensor in self._made.items() if name in read]
        emitted = rewritten(model, nodes, initializers)
        if self._plan.uses_16_bits:
            raise_opset(emitted, OPSET_16_BITS)
        emitted = onnx.shape_inference.infer_shapes(emitted, strict_mode=True)
        # A restored constant's shape is its initializer's: saying it again costs 0.2 % of a file.
        kept = [i for i in emitted.graph.value_info if i.name not in self._restored]
        del emitted.graph.value_info[:]
        emitted.graph.value_info.extend(kept)
        return emitted
