"""Measure layer-wise SQNR: where in an int8 model the error comes from.

For every tensor t of the float graph, over all values of all pictures,

    SQNR   = 10 log10( sum t^2 / sum (t - q)^2 ) dB
    cosine = sum t q / sqrt( sum t^2  sum q^2 )

where q is the same tensor in the int8 file: behind the DequantizeLinear that restores it where the
plan put a QDQ pair on it, since that is what its readers see, else the tensor itself. Both graphs
run in QDQ reference semantics, as chains of segments (calib/segments.py) side by side, so that of
1.4 GB of activations a picture of x4plus makes only two segments of each are held.

The network's output is compared clipped to [0, 1], as parity is.

The figures are of accumulated error: each tensor has behind it all that its inputs lost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from calib.ahead import ahead
from calib.arrays import Float32, Float64
from calib.errors import UsageError
from calib.graph import GraphIndex
from calib.observe import SegmentedGraph
from calib.runtime import shares
from deploy.metrics.counterparts import counterpart, with_values
from deploy.metrics.decibels import CEILING_DB, with_unit
from quant.passes.prepared import PreparedGraph
from quant.plan import QuantPlan

_CHUNK_VALUES = 1 << 16  # a chunk of both tensors and of their difference stays in the L2 cache


@dataclass(frozen=True)
class LayerError:
    """How far one tensor of the int8 file lies from that of the float network.

    Attributes:
        tensor: name in the float graph.
        node: the node that makes it.
        operator: that node's operator.
        sqnr_db: signal to quantization noise ratio in dB, within ``CEILING_DB`` of 0.
        cosine: cosine similarity, in [-1, 1]; 1 for two tensors of zeros.
        decision: what the plan did with the tensor, and why.
    """

    tensor: str
    node: str
    operator: str
    sqnr_db: float
    cosine: float
    decision: str

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "tensor": self.tensor,
            "node": self.node,
            "operator": self.operator,
            "sqnr_db": self.sqnr_db,
            "cosine": self.cosine,
            "what_the_plan_did": self.decision,
        }


@dataclass(frozen=True, eq=False)
class LayerComparison:
    """What comparing every tensor of an int8 file brought.

    Attributes:
        errors: one per tensor of the float network, in graph order.
        outputs: float32 ``[1, 3, H*scale, W*scale]``, what the int8 file draws of each picture.
    """

    errors: tuple[LayerError, ...]
    outputs: tuple[Float32, ...]


def compare_layers(
    prepared: PreparedGraph,
    int8_model: onnx.ModelProto,
    inputs: Sequence[Float32],
    *,
    on_step: Callable[[], None] = lambda: None,
) -> LayerComparison:
    """Compare each tensor of the int8 file with the float network's.

    Args:
        prepared: the float graph under the plan of ``int8_model``.
        int8_model: the int8 model.
        inputs: pictures to run, float32 ``[1, 3, H, W]`` in [0, 1]; at least one.
        on_step: called after each picture.

    Raises:
        UsageError: there is no picture.
        GraphError: the int8 model lacks a tensor of the float model: it is of another network.
    """
    if not inputs:
        raise UsageError("no picture to compare layers on; give at least one")
    compared, joined = with_values(prepared, int8_model)
    float_index, int8_index = prepared.index, GraphIndex(compared)
    nodes = {
        tensor: node
        for node in float_index.nodes
        if node.op_type != "Constant"
        for tensor in node.output
        if tensor
    }
    counterparts = {tensor: counterpart(int8_index, tensor) for tensor in nodes} | joined
    _, threads = shares(jobs=2)  # the two graphs run side by side
    graphs = [
        SegmentedGraph(model, tuple(wanted), threads=threads, optimized=False)
        for model, wanted in ((prepared.model, nodes), (compared, counterparts.values()))
    ]
    sums = dict.fromkeys(nodes, np.zeros(4))
    (output,) = float_index.outputs
    drawn: list[Float32] = []
    with ThreadPoolExecutor(len(graphs)) as pool:
        for picture in inputs:
            float_run, int8_run = (
                ahead(pool, graph.run(dict.fromkeys(index.inputs, picture)))
                for graph, index in zip(graphs, (float_index, int8_index), strict=True)
            )
            for tensor, wanted, found in _side_by_side(float_run, int8_run, counterparts):
                # Nobody sees what a picture has beyond black and white.
                ends = (0.0, 1.0) if tensor in prepared.topology.pictures else None
                sums[tensor] = sums[tensor] + _sums(wanted, found, ends)
                if tensor == output:
                    drawn.append(found)
            on_step()
    errors = tuple(
        LayerError(
            tensor,
            node.name,
            node.op_type,
            *_figures(sums[tensor]),
            decision(prepared.plan, node, tensor),
        )
        for tensor, node in nodes.items()
    )
    return LayerComparison(errors, tuple(drawn))


def what_sqnr_says(errors: Sequence[LayerError]) -> str:
    """Say in a sentence what a low figure inside a network means for what it gives out."""
    last = errors[-1]
    return (
        "SQNR is of a tensor's own values: a low one inside says where error arises, and what "
        "later layers scale down or average away costs no picture. What is given out, "
        f"{last.tensor}, has {with_unit(last.sqnr_db)} by this measure; the parity of a picture is "
        "higher, as its signal is the whole range of values"
    )


def worst_layers(errors: Sequence[LayerError], count: int) -> list[LayerError]:
    """Return the tensors of least SQNR, the worst first; of equals, the first in the graph."""
    return sorted(errors, key=lambda error: error.sqnr_db)[:count]


def decision(plan: QuantPlan, node: onnx.NodeProto, tensor: str) -> str:
    """Return what a plan did with the tensor that a node makes, and why, in one line."""
    pairs = [
        f"{edge.dtype} scale {edge.scale:.4g} zero point {edge.zero_point} ({edge.rule})"
        for edge in plan.edges.values()
        if edge.tensor == tensor
    ]
    if tensor in plan.kept_float:
        return f"no QDQ pair: {plan.kept_float[tensor]}"
    if node.name in plan.kept_float:
        return "; ".join([f"computed in float: {plan.kept_float[node.name]}", *pairs])
    return "; ".join(pairs) or "no QDQ pair: every reader takes the float tensor"


def _side_by_side(
    float_run: Iterator[dict[str, Float32]],
    int8_run: Iterator[dict[str, Float32]],
    counterparts: Mapping[str, str],
) -> Iterator[tuple[str, Float32, Float32]]:
    """Yield each tensor with both its values, as soon as both graphs have made them.

    The int8 graph goes on only as far as the float graph's tensors need, so what is held is a
    segment of each.
    """
    readers: dict[str, int] = {}
    for name in counterparts.values():
        readers[name] = readers.get(name, 0) + 1
    waiting: dict[str, Float32] = {}
    for appeared in float_run:
        for tensor in list(appeared):
            name = counterparts[tensor]
            while name not in waiting:
                waiting.update(next(int8_run))
            found = waiting[name]
            readers[name] -= 1
            if not readers[name]:
                del waiting[name]
            yield tensor, appeared.pop(tensor), found


def _sums(wanted: Float32, found: Float32, ends: tuple[float, float] | None) -> Float64:
    """Return sum t^2, sum q^2, sum (t - q)^2 and sum t q: float32 in chunks, float64 between."""
    left, right = wanted.reshape(-1), found.reshape(-1)
    total = np.zeros(4)
    for start in range(0, left.size, _CHUNK_VALUES):
        t, q = left[start : start + _CHUNK_VALUES], right[start : start + _CHUNK_VALUES]
        if ends is not None:
            t, q = np.clip(t, *ends), np.clip(q, *ends)
        error = t - q
        total += (t @ t, q @ q, error @ error, t @ q)
    return total


def _figures(sums: Float64) -> tuple[float, float]:
    """Return SQNR in dB and cosine."""
    signal, restored, noise, product = map(float, sums)
    norm = float(np.sqrt(signal * restored))
    cosine = product / norm if norm else float(signal == restored)
    if not np.isfinite(noise):
        return -CEILING_DB, 0.0  # the int8 file's values are no numbers
    if noise == 0.0:
        return CEILING_DB, 1.0
    sqnr_db = 10.0 * float(np.log10(signal / noise)) if signal else -CEILING_DB
    return min(max(sqnr_db, -CEILING_DB), CEILING_DB), min(max(cosine, -1.0), 1.0)
