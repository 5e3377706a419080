"""A float model, its calibration table and a target in, a plan and its rounded weights out.

With a budget, the plan is tried on held-out pictures; if it falls short, the cost of every group
of convolutions is measured once (quant/sensitivity.py) and the most costly ones are promoted until
the pictures hold the budget.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from calib.dataset import PatchSet
from calib.digest import canonical_json, sha256_bytes
from calib.errors import CalibrationError, UsageError
from calib.files import write_atomically
from calib.graph import GraphIndex
from calib.images import to_input
from calib.records import encode
from calib.table import CalibrationTable
from deploy.build.budget import Budget, promoted_nodes
from deploy.progress import Progress
from quant.analysis.layer_groups import find_layer_groups
from quant.passes.driver import run_passes
from quant.passes.equivalence import Probe
from quant.passes.from_plan import passes
from quant.plan import QuantOptions, QuantPlan
from quant.planner import make_plan
from quant.qdq.emit import RoundedWeights
from quant.rounding.recorded_codes import record_rounding
from quant.rounding.round_weights import round_weights
from quant.sensitivity import Sensitivity, SensitivityFile, measure_sensitivity, quantized_parity_db
from quant.targets import TargetProfile

Array = npt.NDArray[np.float32]

HELD_OUT = 2
_ATTEMPTS = 5


@dataclass(frozen=True, eq=False)
class Pictures:
    """Calibration-side pictures by what is decided on them; none is verified on.

    Attributes:
        rounding: decide how weights are rounded.
        held_out: a budget is held on them; none of them rounds.
        probe: proves that a rewritten graph is still the network.
    """

    rounding: PatchSet
    held_out: PatchSet
    probe: Probe


@dataclass(frozen=True, eq=False)
class Quantized:
    """A plan with the weights that belong to it.

    Attributes:
        plan: everything but the codes.
        weights: the codes and biases.
        sensitivity: what each group costs, where a budget asked for it.
    """

    plan: QuantPlan
    weights: RoundedWeights
    sensitivity: Sensitivity | None = None


@dataclass(frozen=True, eq=False)
class Quantizer:
    """Quantizes one float model for one target.

    Attributes:
        model: the float model.
        table: its calibration table.
        profile: the target.
        pictures: what is decided on.
        progress: told what is going on.
    """

    model: onnx.ModelProto
    table: CalibrationTable
    profile: TargetProfile
    pictures: Pictures
    progress: Progress

    def quantize(self, options: QuantOptions) -> Quantized:
        """Plan, prove that folding and equalizing change nothing, and round the weights.

        Raises:
            GraphError: the rewritten graph is not the same network.
            UsageError: the options ask for what the target cannot do.
        """
        with self.progress.stage(f"planning {self.profile.name}", 1) as advance:
            plan = make_plan(self.model, self.table, self.profile, options)
            prepared = run_passes(self.model, passes(plan), [self.pictures.probe])
            plan = replace(plan, proofs=tuple(proof.record() for proof in prepared.proofs))
            advance()
        if options.rounding == "nearest":
            return Quantized(plan, RoundedWeights())
        patches = self.pictures.rounding
        title = f"rounding weights of {self.profile.name}"
        with self.progress.stage(title, len(plan.weights)) as advance:
            rounded = round_weights(
                self.model, plan, self.table, inputs_of(patches), on_step=advance
            )
        return Quantized(record_rounding(self.model, plan, rounded, patches.record()), rounded)

    def within(self, options: QuantOptions, budget: Budget, cache: Path) -> Quantized:
        """Raise the most costly groups until the held-out pictures hold the budget.

        Args:
            options: how to quantize.
            budget: what the result may lose.
            cache: file that keeps the measured cost of each group; read if it is of the same
                plan and pictures.

        Raises:
            UsageError: the target has no higher precision, or all of it is not enough.
        """
        self.profile.higher_precision(full_integer=options.full_integer)
        inputs = inputs_of(self.pictures.held_out)
        found = self.quantize(options)
        parity_db = self._parity_db(found, inputs)
        if parity_db >= budget.min_parity_db:
            return found
        sensitivity = self._sensitivity(found, inputs, cache)
        aim = budget.min_parity_db
        for _ in range(_ATTEMPTS):
            promoted = promoted_nodes(sensitivity, budget, aim)
            self.progress.note(
                f"{parity_db:.2f} dB, {budget.asked} needs {budget.min_parity_db:.2f}: "
                f"promoting {len(promoted)} convolutions"
            )
            found = self.quantize(replace(options, promoted={**options.promoted, **promoted}))
            parity_db = self._parity_db(found, inputs)
            if parity_db >= budget.min_parity_db:
                return replace(found, sensitivity=sensitivity)
            if len(promoted) == sum(len(group.nodes) for group in sensitivity.groups):
                break
            aim += budget.min_parity_db - parity_db + 0.1
        raise UsageError(
            f"target {self.profile.name} reaches {parity_db:.2f} dB on the held-out pictures with "
            f"{len(found.plan.options.promoted)} convolutions promoted; {budget.asked} asks for "
            f"{budget.min_parity_db:.2f} dB"
        )

    def _parity_db(self, found: Quantized, inputs: list[Array]) -> float:
        with self.progress.stage(f"parity of {self.profile.name}", 1) as advance:
            parity_db = quantized_parity_db(self.model, found.plan, found.weights, inputs)
            advance()
        return parity_db

    def _sensitivity(self, found: Quantized, inputs: list[Array], cache: Path) -> Sensitivity:
        key = sha256_bytes(
            canonical_json([found.plan.to_record(), asdict(self.pictures.held_out.record())])
        )
        known = _cached(cache, key)
        if known is not None:
            return known
        groups, _ = find_layer_groups(GraphIndex(self.model), found.plan)
        title = f"measuring what each of {len(groups)} layers costs"
        with self.progress.stage(title, len(groups)) as advance:
            measured = measure_sensitivity(
                self.model, found.plan, found.weights, inputs, on_step=advance
            )
        write_atomically(cache, encode(SensitivityFile(key, measured)))
        return measured


def inputs_of(patches: PatchSet) -> list[Array]:
    """Return each picture as float32 ``[1,3,128,128]`` in [0,1]."""
    return [to_input(patch.load()) for patch in patches.patches]


def _cached(path: Path, key: str) -> Sensitivity | None:
    try:
        found = SensitivityFile.read(path)
    except CalibrationError:
        return None
    return found.measured if found.key == key else None
