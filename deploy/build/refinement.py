"""Refine what GPTQ left of a network for one target, or take up what was learned before."""

from collections.abc import Callable
from pathlib import Path

from calib.arrays import Float32
from calib.table import CalibrationTable
from deploy.build.execution import Device
from deploy.build.kept_refinement import kept_refinement
from deploy.build.pictures import Pictures
from deploy.progress import Progress
from quant.passes.prepared import PreparedGraph
from quant.qdq.emit import emit_qdq
from quant.qdq.int8_weights import RoundedWeights
from quant.refinement.learning_state import StateKeeper
from quant.refinement.recorded_scales import Refined, with_learned_scales
from quant.refinement.refine import Examples, find_device, refine, total_steps
from quant.rounding.recorded_codes import record_rounding
from quant.sensitivity import quantized_parity_db


def refined(  # noqa: PLR0913  # what is learned from, and where
    prepared: PreparedGraph,
    weights: RoundedWeights,
    table: CalibrationTable,
    pictures: Pictures,
    *,
    device: Device,
    folder: Path | None,
    progress: Progress,
) -> tuple[PreparedGraph, RoundedWeights]:
    """Return the graph under its refined plan, and the int8 weights that go with it.

    Args:
        prepared: the float graph under the plan, with the record of GPTQ's rounding.
        weights: what GPTQ chose.
        table: the calibration table.
        pictures: what is learned from and judged on.
        device: where to learn.
        folder: of the unfinished build, where what is learned is kept; ``None``: nowhere.
        progress: told what is going on.

    Raises:
        UsageError: the device is not there.
    """
    where, target = find_device(device), prepared.plan.target
    judges, patches = pictures.held_out, pictures.learning

    def make(keeper_of: Callable[[str], StateKeeper]) -> Refined:
        examples = Examples(
            pictures.inputs(patches),
            patches.record(),
            judges.record(),
            lambda graph, chosen: _parity_db(graph, chosen, held_out),
        )
        steps = total_steps(prepared, where)
        with progress.stage(f"refining {target} on {where}", steps) as advance:
            return refine(prepared, table, weights, examples, where, advance, keeper_of)

    held_out = pictures.inputs(judges)
    made, kept = kept_refinement(folder, prepared.plan, patches, where, make)
    if kept:
        progress.note(f"using what was learned for {target}")
    progress.note(f"refined {target}: {made.record}")
    rounded = prepared.plan.rounded
    assert rounded is not None  # --effort high rounds by GPTQ
    moved = with_learned_scales(prepared, table, made.record, made.scales.weights)
    return record_rounding(moved, made.weights, rounded.images), made.weights


def _parity_db(prepared: PreparedGraph, chosen: RoundedWeights, inputs: list[Float32]) -> float:
    return quantized_parity_db(prepared.source.model, emit_qdq(prepared, chosen), inputs)
