"""Prove that a rewritten float graph is still the same network.

Every pass promises that. The driver believes none: after each one the graph must satisfy ONNX's
checker, all its tensors must have static shapes, its inputs and outputs must be those it had, and
its outputs on every probe must be those of the graph before it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from calib.errors import GraphError
from calib.graph import GraphIndex
from quant.evidence import ProofRecord
from quant.passes.equivalence import Equivalence, Probe, outputs_of, require_equivalent

MIN_PSNR_DB = 120.0  # what reordered float32 sums leave, and 10 dB to spare


@dataclass(frozen=True)
class PassProof:
    """What one pass did, and the evidence that it kept the network.

    Attributes:
        name: the pass.
        nodes_before: nodes it was given.
        nodes_after: nodes it left.
        equivalence: its result beside what it was given.
    """

    name: str
    nodes_before: int
    nodes_after: int
    equivalence: Equivalence

    def record(self) -> ProofRecord:
        """Return everything as JSON values; an infinite PSNR, which JSON lacks, is ``None``."""
        psnr_db = self.equivalence.psnr_db
        return ProofRecord(
            self.name,
            self.nodes_before,
            self.nodes_after,
            psnr_db if math.isfinite(psnr_db) else None,
            self.equivalence.max_abs_error,
            self.equivalence.probes,
        )


def prove_rewrites(
    model: onnx.ModelProto,
    rewrites: Mapping[str, onnx.ModelProto],
    probes: Sequence[Probe],
) -> tuple[PassProof, ...]:
    """Prove what each pass made of the graph before it.

    Args:
        model: the float graph that the first pass was given, of one input.
        rewrites: the graph after each pass, by the pass's name, in order.
        probes: inputs to compare on, with the outputs of ``model`` where they are known.

    Raises:
        GraphError: a pass broke the graph or changed the network, with the pass's name, or there
            is no probe.
    """
    proofs = []
    for name, after in rewrites.items():
        try:
            _require_sound(after, model)
            equivalence, probes = _proof(model, after, probes)
        except GraphError as error:
            raise GraphError(f"pass {name!r} does not keep the network: {error}") from error
        proofs.append(PassProof(name, len(model.graph.node), len(after.graph.node), equivalence))
        model = after
    return tuple(proofs)


def _proof(
    before: onnx.ModelProto, after: onnx.ModelProto, probes: Sequence[Probe]
) -> tuple[Equivalence, list[Probe]]:
    """Return how closely the graphs agree, and the probes with the outputs of the second."""
    given = [probe.values for probe in probes]
    expected = [probe.outputs for probe in probes if probe.outputs is not None]
    if len(expected) < len(given):
        expected = outputs_of(before, given)
    found = outputs_of(after, given)
    parties = "the graphs before and after"
    equivalence = require_equivalent(found, expected, min_psnr_db=MIN_PSNR_DB, parties=parties)
    return equivalence, list(map(Probe, given, found))


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
