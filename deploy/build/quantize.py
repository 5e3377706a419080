"""Quantize a float model for one target: plan, prove, round, emit; hold a budget where asked.

With a budget, the plan is tried on held-out pictures; if it falls short, the cost of every layer
group is measured once (quant/sensitivity.py) and the most costly ones are promoted until
the pictures hold the budget.
"""

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import onnx

from calib.arrays import Float32
from calib.dataset import PatchSet
from calib.digest import canonical_json, sha256_bytes
from calib.errors import CalibrationError, UsageError
from calib.files import write_atomically
from calib.graph import GraphIndex
from calib.images_record import described
from calib.records import encode
from calib.table import CalibrationTable
from deploy.artifacts.build_options import BudgetRecord
from deploy.build.budget import Budget, described_nodes, promoted_nodes, require_int8
from deploy.build.execution import Device
from deploy.build.kept_rounding import kept_rounding
from deploy.build.pictures import Pictures
from deploy.progress import Progress
from quant.passes.driver import prove_rewrites
from quant.passes.prepared import PreparedGraph, prepare
from quant.plan import QuantOptions, QuantPlan
from quant.planner import plan_graph
from quant.qdq.emit import emit_qdq
from quant.qdq.int8_share import Int8Share, int8_share
from quant.qdq.int8_weights import RoundedWeights
from quant.qdq.saturation import saturable_convolutions
from quant.qdq.view import QdqView
from quant.rounding.recorded_codes import record_rounding, stored_weights
from quant.rounding.round_weights import round_weights
from quant.sensitivity import (
    Sensitivity,
    SensitivityFile,
    measure_sensitivity,
    measured_groups,
    quantized_parity_db,
)
from quant.targets import TargetProfile

_ATTEMPTS = 5


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """An int8 model with the plan it follows.

    Attributes:
        model: the QDQ graph.
        prepared: the float graph that it rounds, under its plan.
        sensitivity: what each layer group costs, where a budget asked for it.
        budget: the budget that it holds, if one was asked for.
    """

    model: onnx.ModelProto
    prepared: PreparedGraph
    sensitivity: Sensitivity | None = None
    budget: BudgetRecord | None = None

    @cached_property
    def view(self) -> QdqView:
        """Its QDQ pairs."""
        return QdqView(GraphIndex(self.model))

    @property
    def share(self) -> Int8Share:
        """How much of it computes in integers."""
        return int8_share(self.view)

    @cached_property
    def saturable(self) -> int:
        """How many of its convolutions can saturate on a CPU without VNNI."""
        return len(saturable_convolutions(self.view))

    @property
    def plan(self) -> QuantPlan:
        """Why each tensor has the scale it has."""
        return self.prepared.plan

    def on(self, graph: GraphIndex) -> "QuantizedModel":
        """Return the same for the float graph of the same network with another input.

        Raises:
            StaleTableError: it is of another network.
        """
        prepared = prepare(graph, self.plan)
        weights = stored_weights(self.prepared, self.model)
        return replace(self, model=emit_qdq(prepared, weights), prepared=prepared)


@dataclass(frozen=True, eq=False)
class Quantizer:
    """Quantizes one float model for one target.

    Attributes:
        graph: the float model.
        table: its calibration table.
        profile: the target.
        pictures: what is decided on.
        progress: told what is going on.
        folder: of the unfinished build, where rounded weights are kept; ``None``: nowhere.
        device: where to learn, if that is asked for.
    """

    graph: GraphIndex
    table: CalibrationTable
    profile: TargetProfile
    pictures: Pictures
    progress: Progress
    folder: Path | None = None
    device: Device = "auto"

    def quantize(self, options: QuantOptions) -> QuantizedModel:
        """Plan, prove that folding and equalizing change nothing, round, refine and emit.

        Raises:
            GraphError: the rewritten graph is not the same network.
            UsageError: the options ask for what the target cannot do.
        """
        return _emitted(*self._refined(*self._rounded(options)))

    def within(self, options: QuantOptions, budget: Budget, cache: Path) -> QuantizedModel:
        """Promote the most costly layer groups until the held-out pictures hold the budget.

        Args:
            options: how to quantize.
            budget: what the result may lose.
            cache: file that keeps the measured cost of each group; read if it is of the same
                plan and pictures.

        Raises:
            UsageError: the target has no higher precision, all of it is not enough, or so much of
                it is needed that little is left in 8 bits.
        """
        higher = self.profile.higher_precision(full_integer=options.full_integer)
        judges = self.pictures.held_out
        inputs = self.pictures.inputs(judges)
        self.progress.note(
            f"{budget.asked} is decided on {described(judges.record())}; the verdict is of others"
        )
        prepared, weights = self._refined(*self._rounded(options))
        found = _emitted(prepared, weights)
        parity_db = self._parity_db(found, inputs)
        without = found.share
        if parity_db >= budget.min_parity_db:
            return replace(found, budget=_held(budget, parity_db, judges))
        sensitivity = self._sensitivity(prepared, weights, inputs, cache)
        aim = budget.min_parity_db
        for _ in range(_ATTEMPTS):
            promoted = promoted_nodes(sensitivity, budget, aim, higher)
            self.progress.note(
                f"{parity_db:.2f} dB, {budget.asked} needs {budget.min_parity_db:.2f}: "
                f"promoting {described_nodes(promoted, sensitivity)}"
            )
            rounded = self._rounded(replace(options, promoted={**options.promoted, **promoted}))
            found = _emitted(*rounded)
            parity_db = self._parity_db(found, inputs)
            if parity_db >= budget.min_parity_db:
                if options.effort == "high":  # never worse on these pictures
                    found = _emitted(*self._refined(*rounded))
                    parity_db = self._parity_db(found, inputs)
                require_int8(budget, without, found.share)
                held = _held(budget, parity_db, judges)
                return replace(found, sensitivity=sensitivity, budget=held)
            if len(promoted) == sum(len(group.nodes) for group in sensitivity.groups):
                break
            aim += budget.min_parity_db - parity_db + 0.1
        raise UsageError(
            f"target {self.profile.name} reaches {parity_db:.2f} dB on "
            f"{described(judges.record())} with {len(found.plan.options.promoted)} operators "
            f"promoted; {budget.asked} asks for "
            f"{budget.min_parity_db:.2f} dB; ask for less, or hand over the fp16 model if its "
            "own parity is enough"
        )

    def _rounded(self, options: QuantOptions) -> tuple[PreparedGraph, RoundedWeights]:
        """Return the float graph under its plan, proven, and the int8 weights."""
        with self.progress.stage(f"planning {self.profile.name}", 1) as advance:
            prepared = plan_graph(self.graph, self.table, self.profile, options)
            proofs = prove_rewrites(self.graph.model, prepared.rewrites, [self.pictures.probe])
            proven = replace(prepared.plan, proofs=tuple(proof.record() for proof in proofs))
            prepared = prepared.under(proven)
            advance()
        if options.rounding == "nearest":
            return prepared, RoundedWeights()
        patches = self.pictures.rounding

        def make() -> RoundedWeights:
            inputs = self.pictures.inputs(patches)
            title = f"rounding weights of {self.profile.name}"
            with self.progress.stage(title, len(prepared.plan.weights)) as advance:
                return round_weights(prepared, self.table, inputs, on_step=advance)

        weights, kept = kept_rounding(self.folder, prepared.plan, patches, make)
        if kept:
            self.progress.note(f"using the rounded weights of {self.profile.name}")
        return record_rounding(prepared, weights, patches.record()), weights

    def _refined(
        self, prepared: PreparedGraph, weights: RoundedWeights
    ) -> tuple[PreparedGraph, RoundedWeights]:
        """Return both as they were learned to be, where that is asked for."""
        if prepared.plan.options.effort == "normal":
            return prepared, weights
        # torch takes seconds to load, and whoever quantizes for a bundle does without it.
        from deploy.build.refinement import refined  # noqa: PLC0415

        return refined(
            prepared,
            weights,
            self.table,
            self.pictures,
            device=self.device,
            folder=self.folder,
            progress=self.progress,
        )

    def _parity_db(self, found: QuantizedModel, inputs: list[Float32]) -> float:
        with self.progress.stage(f"parity of {self.profile.name}", 1) as advance:
            parity_db = quantized_parity_db(self.graph.model, found.model, inputs)
            advance()
        return parity_db

    def _sensitivity(
        self,
        prepared: PreparedGraph,
        weights: RoundedWeights,
        inputs: list[Float32],
        cache: Path,
    ) -> Sensitivity:
        key = sha256_bytes(
            canonical_json([prepared.plan.to_record(), asdict(self.pictures.held_out.record())])
        )
        known = _cached(cache, key)
        if known is not None:
            return known
        count = measured_groups(prepared)
        title = f"measuring what each of {count} layer groups costs"
        with self.progress.stage(title, count) as advance:
            measured = measure_sensitivity(prepared, weights, inputs, on_step=advance)
        write_atomically(cache, encode(SensitivityFile(key, measured)))
        return measured


def _held(budget: Budget, parity_db: float, judges: PatchSet) -> BudgetRecord:
    found = parity_db if math.isfinite(parity_db) else None
    return BudgetRecord(budget.asked, budget.min_parity_db, found, judges.record())


def _emitted(prepared: PreparedGraph, weights: RoundedWeights) -> QuantizedModel:
    return QuantizedModel(emit_qdq(prepared, weights), prepared)


def _cached(path: Path, key: str) -> Sensitivity | None:
    try:
        found = SensitivityFile.read(path)
    except CalibrationError:
        return None
    return found.measured if found.key == key else None
