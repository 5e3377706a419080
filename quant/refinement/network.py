"""Run a prepared graph in torch, in float or quantized as its plan says, with what can be learned.

What a QDQ file quantizes is quantized here at the same places (quant/qdq/emit.py): the operands of
a node through the edge by which it reads them, weights with their codes, constants with theirs.
What is learned is a small move away from the plan and from GPTQ's choice:

    weights       steps of each weight, from which its code is rounded
    scales        log(s / s of the plan) of each output channel
    activations   log(s / s of the plan) of each scale; edges that share one keep sharing it
    biases        in units of the noise that rounding the input leaves in the output channel
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from calib.arrays import AnyArray
from quant.numerics.affine import INTEGER_TYPES, dequantize, quantize
from quant.passes.prepared import PreparedGraph
from quant.plan import GRAPH_OUTPUT, QuantPlan
from quant.qdq.int8_weights import RoundedWeights, round_to_nearest
from quant.qdq.zero_points import rounds
from quant.refinement.fake_quantize import quantized_activation, quantized_weight
from quant.refinement.operators import Operation, operation
from quant.refinement.recorded_scales import free_scales
from quant.rounding.recorded_codes import exclusive_bias

# How far a weight may start from the middle of its code's interval, in steps.
_NEAR_THE_EDGE = 0.45


@dataclass(frozen=True, eq=False)
class Learned:
    """What is learned of a network, tensors that ask for gradients.

    Attributes:
        steps: float32, the shape of the weight, by weight initializer.
        weight_logs: float32 ``[O]``, likewise.
        bias_moves: float32 ``[O]``, by bias initializer.
        scale_logs: float32 ``[S]``, one of each activation scale that may move.
    """

    steps: Mapping[str, torch.Tensor]
    weight_logs: Mapping[str, torch.Tensor]
    bias_moves: Mapping[str, torch.Tensor]
    scale_logs: torch.Tensor

    def kinds(self) -> dict[str, list[torch.Tensor]]:
        """Return all tensors by kind, in one order."""
        return {
            "weights": list(self.steps.values()),
            "scales": list(self.weight_logs.values()),
            "biases": list(self.bias_moves.values()),
            "activations": [self.scale_logs],
        }


@dataclass(frozen=True)
class _Step:
    """One node as it is run."""

    node: onnx.NodeProto
    compute: Operation
    done_with: tuple[str, ...]


class TorchNetwork:
    """A prepared graph that torch computes, on one device.

    Attributes:
        device: torch's name of where it is computed.
        float_steps: the float weights in units of the plan's scales, by weight initializer.
        learned: what can be learned of it.
        rounding: names of the edges that round.
    """

    def __init__(self, prepared: PreparedGraph, weights: RoundedWeights, device: str) -> None:
        """Take a graph under its plan with what GPTQ made of its weights.

        Raises:
            UsageError: it holds an operator that torch is not told to compute.
        """
        self._index, self._plan = prepared.index, prepared.plan
        self.device = device
        self._weight_of = {quant.node: name for name, quant in self._plan.weights.items()}
        self._codes = weights.codes
        self._biases = {name: self._tensor(value) for name, value in weights.biases.items()}
        self._constants: dict[str, torch.Tensor] = {}
        shared = free_scales(prepared)
        self._place = {name: place for place, names in enumerate(shared) for name in names}
        self.rounding = {
            n for n, e in self._plan.edges.items() if rounds(self._index, self._plan, e)
        }
        self._planned_scales = {
            name: self._tensor(np.float32(edge.scale)) for name, edge in self._plan.edges.items()
        }
        self._weight_scales = {
            n: self._tensor(q.scale_array) for n, q in self._plan.weights.items()
        }
        self.float_steps = {name: self._float_steps(name) for name in weights.codes}
        self._steps = self._ordered()
        self.learned = self._start(weights, len(shared))

    def _ordered(self) -> list[_Step]:
        nodes = [node for node in self._index.nodes if node.op_type != "Constant"]
        last = {name: number for number, node in enumerate(nodes) for name in node.input if name}
        kept = {*self._index.outputs}
        return [
            _Step(
                node,
                operation(self._index, node),
                tuple({n for n in node.input if n and last[n] == number and n not in kept}),
            )
            for number, node in enumerate(nodes)
        ]

    def _start(self, weights: RoundedWeights, scales: int) -> Learned:
        steps: dict[str, torch.Tensor] = {}
        logs: dict[str, torch.Tensor] = {}
        moves: dict[str, torch.Tensor] = {}
        self._bias_units: dict[str, torch.Tensor] = {}
        for name, codes in weights.codes.items():
            quant = self._plan.weights[name]
            chosen, ideal = self._tensor(codes), self.float_steps[name]
            near = (ideal - chosen).clamp(-_NEAR_THE_EDGE, _NEAR_THE_EDGE)
            steps[name] = (chosen + near).requires_grad_()
            logs[name] = torch.zeros(len(codes), device=self.device, requires_grad=True)
            node = next(n for n in self._index.consumers(name) if n.name == quant.node)
            bias = exclusive_bias(self._index, node)
            edge = self._plan.edges[self._plan.edge_read_by(node.input[0], node.name) or ""]
            if bias is not None and bias in self._biases:
                restored = codes.reshape(len(codes), -1) * quant.scale_array[:, np.newaxis]
                noise = edge.scale / np.sqrt(12.0) * np.sqrt(np.square(restored).sum(axis=1))
                self._bias_units[bias] = self._tensor(noise)
                moves[bias] = torch.zeros(len(codes), device=self.device, requires_grad=True)
        free = torch.zeros(scales, device=self.device, requires_grad=True)
        return Learned(steps, logs, moves, free)

    def _float_steps(self, name: str) -> torch.Tensor:
        value, scales = self._index.constant(name), self._plan.weights[name].scale_array
        assert value is not None  # planned as one
        return self._tensor(value / scales.reshape(-1, *[1] * (value.ndim - 1)))

    def draw(self, picture: torch.Tensor, *, quantized: bool) -> torch.Tensor:
        """Return what the network gives out.

        Args:
            picture: float32 ``[N,C,H,W]``, of any size.
            quantized: as the plan says, or in float.
        """
        run = _Run(self, quantized)
        (entry,) = self._index.inputs
        values = {entry: picture}
        for step in self._steps:
            operands = [
                run.operand(step.node, slot, values) for slot in range(len(step.node.input))
            ]
            values[step.node.output[0]] = step.compute(*operands)
            for name in step.done_with:
                values.pop(name, None)
                run.forget(name)
        (output,) = self._index.outputs
        return run.read(output, GRAPH_OUTPUT, values[output])

    def scale(self, edge: str) -> torch.Tensor:
        """Return the scale of the edge of that name as learned so far, float32 ``[]``."""
        place, start = self._place.get(edge), self._planned_scales[edge]
        return start if place is None else start * self.learned.scale_logs[place].exp()

    def _tensor(self, value: AnyArray) -> torch.Tensor:
        return torch.from_numpy(np.array(value, np.float32)).to(self.device)

    def constant(self, name: str, reader: str, *, quantized: bool) -> torch.Tensor | None:
        """Return a constant operand, rounded where the plan says so and it is asked for."""
        key = f"{name} of {reader}" if quantized else name
        if key not in self._constants:
            value = self._index.constant(name)
            if value is None:
                return None
            self._constants[key] = self._tensor(
                self._stored(name, reader, value) if quantized else value
            )
        return self._constants[key]

    def _stored(self, name: str, reader: str, value: AnyArray) -> AnyArray:
        """Return what a constant is in the QDQ file."""
        constant, weight = self._plan.constants.get(name), self._plan.weights.get(name)
        if constant is not None and reader in constant.readers:
            scale, zero_point = constant.scale, constant.zero_point
            codes = quantize(value, scale, zero_point, INTEGER_TYPES[constant.dtype])
            return dequantize(codes, scale, zero_point)
        if weight is not None and reader == weight.node:
            scales = weight.scale_array.reshape(-1, *[1] * (value.ndim - 1))
            return round_to_nearest(value, weight) * scales
        halved = name in self._plan.stored_half or self._plan.float_type == "float16"
        return value.astype(np.float16) if halved and value.dtype == np.float32 else value

    def weight(self, name: str) -> torch.Tensor:
        """Return a quantized weight as learned so far."""
        steps = self.learned.steps[name]
        scales = self._weight_scales[name] * self.learned.weight_logs[name].exp()
        return quantized_weight(steps, scales, steps.ndim)

    def bias(self, name: str) -> torch.Tensor:
        """Return the bias beside a quantized weight as learned so far."""
        if name not in self._bias_units:
            return self._biases[name]
        return self._biases[name] + self.learned.bias_moves[name] * self._bias_units[name]

    def quantized_operand(self, node: onnx.NodeProto, slot: int) -> torch.Tensor | None:
        """Return weight or bias of a convolution in integers; ``None`` for any other operand."""
        name = self._weight_of.get(node.name, "")
        if name in self.learned.steps and slot == 1:
            return self.weight(name)
        if slot == 2 and name and node.input[2] in self._biases:
            return self.bias(node.input[2])
        return None

    @property
    def plan(self) -> QuantPlan:
        """What is quantized, and how."""
        return self._plan


class _Run:
    """One pass through a network: each QDQ pair is computed once, whoever reads it."""

    def __init__(self, network: TorchNetwork, quantized: bool) -> None:
        self._network, self._quantized = network, quantized
        self._known: dict[str, dict[str, torch.Tensor]] = {}

    def operand(
        self, node: onnx.NodeProto, slot: int, values: Mapping[str, torch.Tensor]
    ) -> torch.Tensor | None:
        name = node.input[slot]
        if not name:
            return None
        if name in values:
            return self.read(name, node.name, values[name])
        found = self._network.quantized_operand(node, slot) if self._quantized else None
        if found is not None:
            return found
        return self._network.constant(name, node.name, quantized=self._quantized)

    def read(self, tensor: str, reader: str, value: torch.Tensor) -> torch.Tensor:
        edge = self._network.plan.edge_read_by(tensor, reader) if self._quantized else None
        return value if edge is None else self._through(edge, value)

    def forget(self, tensor: str) -> None:
        self._known.pop(tensor, None)

    def _through(self, name: str, value: torch.Tensor) -> torch.Tensor:
        edge = self._network.plan.edges[name]
        known = self._known.setdefault(edge.tensor, {})
        if name not in known:
            before = value if edge.after is None else self._through(edge.after, value)
            integer, zero = edge.integer, edge.zero_point
            known[name] = (
                quantized_activation(
                    before, self._network.scale(name), integer.qmin - zero, integer.qmax - zero
                )
                if name in self._network.rounding
                else before
            )
        return known[name]
