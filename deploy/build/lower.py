"""Lower a float model to fp16 and int8: calibrate, convert, quantize for each target, write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calib.dataset import PatchSet
from calib.graph import GraphIndex
from calib.table import CalibrationTable
from deploy.artifacts.build_options import TargetOptions
from deploy.artifacts.files import Artifact, sensitivity_file_name
from deploy.build.calibrate import calibration_table, table_artifacts
from deploy.build.earlier import Earlier
from deploy.build.pictures import pictures_of
from deploy.build.quantize import QuantizedModel, Quantizer
from deploy.build.request import BuildRequest
from deploy.build.write_models import write_fp16, write_quantized
from deploy.progress import Progress
from quant.fp16.convert import to_fp16
from quant.fp16.range import nodes_to_keep
from quant.passes.equivalence import Probe
from quant.passes.prepared import PreparedGraph
from quant.passes.rebatch import with_batch
from quant.refinement.operators import require_refinable
from quant.refinement.refine import find_device


@dataclass(frozen=True, eq=False)
class Lowered:
    """What a build holds beside its float model; nothing, where only that was asked for.

    Attributes:
        table: the calibration table.
        fp16_kept: nodes that the fp16 model computes in float32, each with its reason.
        targets: how the int8 model of each was made.
        planned: the float graph under the plan of each int8 model, by file.
        artifacts: the files written.
    """

    table: CalibrationTable | None = None
    fp16_kept: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, TargetOptions] = field(default_factory=dict)
    planned: Mapping[str, PreparedGraph] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()


def lower(  # noqa: PLR0913, PLR0917  # what models are made from
    earlier: Earlier,
    folder: Path,
    graph: GraphIndex,
    source: PatchSet | CalibrationTable,
    probe: Probe,
    progress: Progress,
) -> Lowered:
    """Make and write the fp16 and int8 models of a float model.

    Args:
        earlier: what is built, and what it is added to.
        folder: where it goes.
        graph: the float model, for one picture at a time: what is measured does not depend on it.
        source: the images to calibrate on, or a finished table of this model.
        probe: a picture to prove rewritten graphs on.
        progress: told what is going on.

    Raises:
        InputError: the images, the table or the request cannot be used.
    """
    request = earlier.request
    if request.builds("int8") and request.quantization.effort == "high":
        require_refinable(graph)
        find_device(request.execution.device)
    name, batch = request.stem, request.tile.batch
    shipped = GraphIndex(with_batch(graph.model, batch))
    table = calibration_table(graph, source, folder, execution=request.execution, progress=progress)
    earlier.require_table(table)
    kept = nodes_to_keep(graph.model, table, earlier.fp16_keep)
    artifacts = table_artifacts(folder)
    artifacts += write_fp16(folder, name, to_fp16(shipped.model, table, keep=kept), request.form)
    pictures = pictures_of(source, request.tile.size, probe)
    targets: dict[str, TargetOptions] = {}
    planned: dict[str, PreparedGraph] = {}
    for profile in request.profiles() if request.builds("int8") else ():
        kept_in = folder if request.execution.resume else None
        quantizer = Quantizer(
            graph, table, profile, pictures, progress, kept_in, request.execution.device
        )
        quantized = _quantized(request, quantizer, folder)
        quantized = quantized if batch == 1 else quantized.on(shipped)
        written = write_quantized(folder, name, quantized, request.form)
        planned[written[0].path] = quantized.prepared
        artifacts += written
        targets[profile.name] = TargetOptions(
            request.quantization, quantized.budget, dict(quantized.plan.options.promoted)
        )
    return Lowered(table, kept, targets, planned, tuple(artifacts))


def _quantized(request: BuildRequest, quantizer: Quantizer, folder: Path) -> QuantizedModel:
    if request.budget is None:
        return quantizer.quantize(request.quantization)
    cache = folder / sensitivity_file_name(request.stem, quantizer.profile.name)
    return quantizer.within(request.quantization, request.budget, cache)
