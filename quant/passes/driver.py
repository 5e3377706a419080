"""A float graph, named passes and probe inputs in, the rewritten graph with its proofs out.

Every pass promises the same network. The driver believes none: after each one the graph must
satisfy ONNX's checker, all its tensors must have static shapes, its inputs and outputs must be
those it had, and its outputs on every probe must be those of the graph before it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.passes.equivalence import Equivalence, Probe, outputs_of, require_equivalent
from quant.plan import ProofRecord

Array = npt.NDArray[np.float32]
Pass = Callable[[onnx.ModelProto], onnx.ModelProto]

MIN_PSNR_DB = 120.0  # what reordered float32 sums leave, and 10 dB to spare


@dataclass(frozen=True)
class PassProof:
    """What one pass did, and the evidence that it kept the network.

    Attributes:
        name: the pass.
        nodes_before: nodes it was given.
        nodes_after: nodes it left.
        equality: its result beside what it was given.
    """

    name: str
    nodes_before: int
    nodes_after: int
    equality: Equivalence

    def record(self) -> ProofRecord:
        """Return everything as JSON values; an infinite PSNR, which JSON lacks, is ``None``."""
        psnr_db = self.equality.psnr_db
        return ProofRecord(
            self.name,
            self.nodes_before,
            self.nodes_after,
            psnr_db if math.isfinite(psnr_db) else None,
            self.equality.max_abs_error,
            self.equality.probes,
        )


@dataclass(frozen=True)
class Prepared:
    """A rewritten graph.

    Attributes:
        model: the result of the last pass.
        proofs: one per pass, in order.
    """

    model: onnx.ModelProto
    proofs: tuple[PassProof, ...]


def run_passes(
    model: onnx.ModelProto,
    passes: Mapping[str, Pass],
    probes: Sequence[Probe],
    *,
    threads: int | None = None,
) -> Prepared:
    """Run the passes one after the other and prove each.

    Args:
        model: the float graph, of one input; it is not changed.
        passes: pass by name, in order.
        probes: inputs to compare on, with the outputs of ``model`` where they are known.
        threads: onnxruntime threads; ``None`` takes every core.

    Raises:
        GraphError: a pass broke the graph or changed the network, with the pass's name.
    """
    proofs = []
    for name, rewrite in passes.items():
        after = rewrite(model)
        try:
            _require_sound(after, model)
            equality, probes = _proof(model, after, probes, threads)
        except GraphError as error:
            raise GraphError(f"pass {name!r} does not keep the network: {error}") from error
        proofs.append(PassProof(name, len(model.graph.node), len(after.graph.node), equality))
        model = after
    return Prepared(model, tuple(proofs))


def prove_equal(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    probes: Sequence[Array],
    *,
    threads: int | None = None,
) -> Equivalence:
    """Run both graphs as written, optimizations off, and compare all outputs.

    Raises:
        GraphError: there is no probe, or an output differs by more than ``MIN_PSNR_DB`` allows.
    """
    equality, _ = _proof(before, after, list(map(Probe, probes)), threads)
    return equality


def _proof(
    before: onnx.ModelProto, after: onnx.ModelProto, probes: Sequence[Probe], threads: int | None
) -> tuple[Equivalence, list[Probe]]:
    """Return how closely the graphs agree, and the probes with the outputs of the second."""
    given = [probe.values for probe in probes]
    expected = [probe.outputs for probe in probes if probe.outputs is not None]
    if len(expected) < len(given):
        expected = outputs_of(before, given, threads=threads)
    found = outputs_of(after, given, threads=threads)
    parties = "the graphs before and after"
    equality = require_equivalent(found, expected, min_psnr_db=MIN_PSNR_DB, parties=parties)
    return equality, list(map(Probe, given, found))


def _require_sound(after: onnx.ModelProto, before: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(after, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(f"ONNX's checker refuses its result: {reason}") from error
    if (
        after.graph.input[:] != before.graph.input[:]
        or after.graph.output[:] != before.graph.output[:]
    ):
        raise GraphError("its result has other inputs or outputs; expected the same")
    index = GraphIndex(after)
    for node in index.nodes:
        for tensor in node.output:
            if tensor and index.shape(tensor) is None:
                raise GraphError(f"tensor {tensor!r} of its result has no static shape")
