"""Check how every tensor and weight of a float32 graph fits fp16.

fp16 holds magnitudes up to 65504 at 11 significant bits, and below 2^-14 loses a bit with every
halving. Some devices turn an overflow into a black picture (Real-ESRGAN issues 330, 632), so
every tensor's observed range and every weight is looked at before anything is converted, and the
nodes around a value that does not fit stay in float32, each with its reason.
"""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx

from calib.arrays import AnyArray
from calib.errors import GraphError, UsageError
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from quant.analysis.tensor_distributions import ObservationRules, TensorDistributions
from quant.analysis.topology import Topology
from quant.numerics.half import FP16_MAX, FP16_NORMAL

ASKED = "asked for"
"""The reason why a node that the user named stays in float32."""

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

    def __str__(self) -> str:
        """Return kind, name and largest value in one phrase."""
        return f"{self.kind} {self.tensor!r} reaches {self.largest:.6g}, fp16 ends at {FP16_MAX:g}"

    def record(self) -> dict[str, Any]:
        """Return it as JSON values; a size that is no finite number is ``None``."""
        finite = math.isfinite(self.largest)
        return {**asdict(self), "largest": self.largest if finite else None}

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
    require_nodes(model, keep)
    index = GraphIndex(model)
    distributions = TensorDistributions(ObservationRules(Topology(index)), table.tensors)
    return _findings(index, distributions, keep)


def _findings(
    index: GraphIndex, distributions: TensorDistributions, keep: Collection[str]
) -> tuple[Fp16Finding, ...]:
    findings: list[Fp16Finding] = []
    for node in index.nodes:
        if node.op_type == "Constant":
            continue
        halved = node.name not in keep
        for slot, name in enumerate(node.input):
            value = index.constant(name) if name else None
            if halved and value is not None and becomes_half(node, slot, value):
                findings.append(_weight_finding(name, value))
        findings.extend(
            _activation_finding(name, distributions)
            for name in filter(None, node.output)
            if halved or any(reader.name not in keep for reader in index.consumers(name))
        )
    return tuple({finding.tensor: finding for finding in findings}.values())


def nodes_to_keep(
    model: onnx.ModelProto, table: CalibrationTable, asked: Collection[str] = ()
) -> dict[str, str]:
    """Return the nodes to leave in float32, each with its reason, in graph order.

    A node has to stay if it makes or reads an activation that fp16 cannot hold, or reads such a
    weight: an activation is safe only if no node on either side of it computes in fp16.

    Args:
        model: the float graph.
        table: statistics of ``observed_tensors(model)``.
        asked: names of nodes that the user wants in float32 whatever they hold.

    Raises:
        GraphError: a weight holds NaN or infinity, which no precision helps.
        UsageError: ``asked`` names no node.
        CalibrationError: the table lacks a tensor.
    """
    index = GraphIndex(model)
    reasons = dict.fromkeys(asked, ASKED)
    for finding in check_fp16(model, table, keep=asked):
        if not finding.overflows:
            continue
        if not np.isfinite(finding.largest):
            raise _no_number(finding)
        maker = index.producer(finding.tensor)
        makers = () if maker is None or maker.op_type == "Constant" else (maker,)
        for node in (*makers, *index.consumers(finding.tensor)):
            reasons.setdefault(node.name, f"overflow: {finding}")
    return {node.name: reasons[node.name] for node in index.nodes if node.name in reasons}


def require_half(index: GraphIndex, distributions: TensorDistributions, target: str) -> None:
    """Make sure that fp16 can hold every activation and weight of a graph.

    Args:
        index: the graph that a target computes in fp16.
        distributions: of its tensors.
        target: its name, for the message.

    Raises:
        UsageError: it cannot; the tensors are named.
        GraphError: a weight holds NaN or infinity.
    """
    over = [finding for finding in _findings(index, distributions, ()) if finding.overflows]
    for finding in over:
        if not np.isfinite(finding.largest):
            raise _no_number(finding)
    if over:
        more = f" and {len(over) - 1} more" if len(over) > 1 else ""
        raise UsageError(
            f"target {target} computes in fp16, and {over[0]}{more}; build for a target "
            "that computes in float32, such as tensorrt-10"
        )


def becomes_half(node: onnx.NodeProto, slot: int, value: AnyArray) -> bool:
    """Tell whether the constant ``value`` in that slot of ``node`` is converted with it."""
    kept_slots = _FLOAT32_SLOTS.get(node.op_type, frozenset())
    return value.dtype == np.float32 and slot not in kept_slots


def _no_number(finding: Fp16Finding) -> GraphError:
    return GraphError(
        f"{finding.kind} {finding.tensor!r} holds NaN or infinity; check the checkpoint, no "
        "precision can hold that"
    )


def _weight_finding(name: str, value: AnyArray) -> Fp16Finding:
    magnitude = np.abs(value)
    subnormal = np.count_nonzero((magnitude > 0.0) & (magnitude < FP16_NORMAL))
    largest = float(magnitude.max(initial=0.0))
    return Fp16Finding(name, "weight", largest, subnormal / max(value.size, 1))


def _activation_finding(name: str, distributions: TensorDistributions) -> Fp16Finding:
    seen = distributions.distribution(name)
    largest = max(-seen.minimum, seen.maximum, 0.0)
    return Fp16Finding(name, "activation", largest, seen.share_within(FP16_NORMAL))


def require_nodes(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Make sure that a graph has nodes of these names.

    Raises:
        UsageError: it lacks one.
    """
    known = {node.name for node in model.graph.node}
    for name in sorted(names):
        if name not in known:
            raise UsageError(f"found no node {name!r} to keep in float32; name one of the graph's")
