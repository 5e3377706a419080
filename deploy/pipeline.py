"""Build a model: make a verified folder of artifacts of a request. Read it top to bottom."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from calib.files import write_atomically
from calib.form import Form
from calib.graph import GraphIndex
from calib.images import to_input
from calib.sample import verification_pictures
from calib.table import CalibrationTable
from deploy.artifacts.build_warnings import build_warnings
from deploy.artifacts.claim import claimed
from deploy.artifacts.files import MANIFEST_NAME, UNFINISHED_NAME, Artifact
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.staging import publish, staged
from deploy.build.calibrate import (
    ChosenImages,
    calibration_table,
    require_fitting,
    resumable_files,
    table_artifacts,
)
from deploy.build.describe import describe
from deploy.build.earlier import find_earlier
from deploy.build.idle_options import options_without_nodes
from deploy.build.kept_export import find_export, keep_export
from deploy.build.left_alone import operators_left_alone
from deploy.build.lower import Lowered, lower
from deploy.build.request import BuildRequest
from deploy.build.write_models import write_fp32, write_parity
from deploy.network.exported import ExportedModel
from deploy.network.load import load_network
from deploy.network.network import Network
from deploy.progress import Progress
from deploy.report import write_report
from deploy.runtime.outputs import Outputs
from deploy.verify.contents import check_contents, open_build
from deploy.verify.drawing_ahead import DrawingAhead
from deploy.verify.explain import LAYER_PICTURES, VerifyOptions
from deploy.verify.judges import Judges, folder_judges, sample_judges
from deploy.verify.original import held_original
from deploy.verify.verdict import compare_build
from deploy.verify.verification import Verification
from quant.fp16.range import require_nodes
from quant.passes.forms.form import in_form, prove_form
from quant.passes.lowering.catalogue import lower_graph
from quant.passes.rebatch import with_batch


@dataclass(frozen=True)
class BuildOutcome:
    """What was built, and whether it holds.

    Attributes:
        folder: where the artifacts lie.
        manifest: what they are.
        verification: what was checked of them.
        warnings: what to mind of it, one line each.
        before: targets of the build that it was added to.
    """

    folder: Path
    manifest: Manifest
    verification: Verification
    warnings: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "folder": str(self.folder),
            "manifest": self.manifest.record(),
            "verification": self.verification.record(),
            "warnings": list(self.warnings),
        }


def build_model(request: BuildRequest, progress: Progress) -> BuildOutcome:
    """Build, verify and record one model.

    All input is read and judged before the first file is written. What is made lies apart until it
    is whole and verified: whatever refuses or interrupts it leaves the build before it as it was.

    Raises:
        InputError: the request, the weights or the images cannot be used.
    """
    request.require_possible()
    network = _loaded(request, progress)
    request = request.for_network(network.channels, network.output)
    network.require_fitting(request.tile)
    hold_back = request.verify_images is None
    chosen: ChosenImages | None = None
    if request.builds("fp16"):
        scale = network.scale_at(request.tile)
        chosen = request.calibration.chosen(request.tile.size, scale=scale, hold_back=hold_back)
    source = None if chosen is None else chosen.source
    judges = _judges(request, chosen)
    with claimed(request.folder) as folder:
        earlier = find_earlier(request, network, source)
        exported = _export(network, request, progress)
        graph = GraphIndex(exported.model)
        require_nodes(graph.model, earlier.fp16_keep)
        for line in (
            *earlier.notes,
            *options_without_nodes(request.quantization, graph),
            *operators_left_alone(graph),
        ):
            progress.note(line)
        require_fitting(source, request.calibration.table, graph)
        shipped = GraphIndex(with_batch(graph.model, request.tile.batch))
        formed = _in_form(exported, shipped, request.form)
        earlier.require_float_model(formed)
        kept = [item.path for item in earlier.kept]
        with (
            staged(folder, kept, resumable_files, progress.note) as stage,
            DrawingAhead(
                judges.patches.patches, request.tile, chart=request.builds("int8")
            ) as ahead,
        ):
            keep_export(stage, network, request, exported)
            (float_file,) = write_fp32(stage, request.stem, formed)
            # Timing draws the first picture with the float file.
            ahead.draw_with(float_file, formed, skip=1)
            lowered = Lowered()
            if source is not None:
                lowered = lower(earlier, stage, graph, source, exported.probes[0], progress)

            draft = describe(network, shipped, earlier, lowered, [float_file, *lowered.artifacts])
            opened = open_build(stage, draft)
            ahead.draw_with_all(opened.build)
            checked = check_contents(opened, progress, lowered.planned)
            original = held_original(checked.build, network)
            if request.tile.batch == 1 and request.form.usual:
                drawn = _drawn(network, exported, draft.float_artifact.path)
                original = replace(original, drawn=drawn)
            options = VerifyOptions((), LAYER_PICTURES if request.report else 0, latency=True)
            verification = compare_build(checked, judges, original, progress, options, ahead)
            parity = verification.parity_record()
            written = (*draft.artifacts, *write_parity(stage, parity))
            verified_on = verification.judges.record()
            manifest = replace(
                draft,
                options=draft.options.judged(draft.joint_db(parity)),
                artifacts=written,
                parity=parity.figures,
                verified_on=verified_on,
            )
            write_atomically(stage / MANIFEST_NAME, manifest.content())
            if request.report:
                write_report(checked, verification, manifest, progress)
            publish(stage, manifest.files(report=request.report), instead=True)
        return BuildOutcome(
            folder,
            manifest,
            verification,
            build_warnings(manifest, opened.build.table),
            earlier.targets,
        )


def _judges(request: BuildRequest, chosen: ChosenImages | None) -> Judges:
    """Return the pictures that a build is compared on: named, held back, or of the sample.

    Raises:
        UsageError: every picture named is calibrated on.
    """
    if request.verify_images is not None:
        judges = folder_judges(request.verify_images, request.tile.size)
        return judges if chosen is None else judges.unseen(chosen.images)
    if chosen is not None and chosen.held_back is not None:
        return Judges("held-back", chosen.held_back)
    return sample_judges(request.tile.size)


@dataclass(frozen=True)
class CalibrationOutcome:
    """A calibration table on disk beside the float model it belongs to.

    Attributes:
        table: the statistics.
        artifacts: the files written.
        folder: where they lie.
    """

    table: CalibrationTable
    artifacts: tuple[Artifact, ...]
    folder: Path

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "folder": str(self.folder),
            "network_digest": self.table.network_digest,
            "table_digest": self.table.digest,
            "images": asdict(self.table.images),
            "tensors": len(self.table.tensors),
            "artifacts": [asdict(artifact) for artifact in self.artifacts],
        }


def calibrate_model(request: BuildRequest, progress: Progress) -> CalibrationOutcome:
    """Export one model and calibrate it, and stop there.

    Raises:
        InputError: the request, the weights or the images cannot be used.
    """
    request = replace(request, precision="fp16")  # what needs a table, and no target
    network = _loaded(request, progress)
    request = request.for_network(network.channels, network.output)
    network.require_fitting(request.tile)
    scale = network.scale_at(request.tile)
    source = request.calibration.chosen(request.tile.size, scale=scale).source
    with claimed(request.folder) as folder:
        earlier = find_earlier(request, network, source)
        exported = _export(network, request, progress)
        graph = GraphIndex(exported.model)
        shipped = GraphIndex(with_batch(graph.model, request.tile.batch))
        earlier.require_float_model(shipped.model)
        with staged(folder, (), resumable_files, progress.note) as stage:
            keep_export(stage, network, request, exported)
            table = calibration_table(
                graph, source, stage, execution=request.execution, progress=progress
            )
            earlier.require_table(table)
            artifacts = write_fp32(stage, request.stem, shipped.model) + table_artifacts(stage)
            publish(stage, [item.path for item in artifacts], instead=request.replace)
        return CalibrationOutcome(table, tuple(artifacts), folder)


def _loaded(request: BuildRequest, progress: Progress) -> Network:
    """Load the network, and tell what was decided in reading it."""
    network = load_network(request.model, request.weights, request.onnx_file, request.activation)
    network = network.called(request.name)
    given = request.weights or request.onnx_file
    if given is not None:
        other = "" if request.own_name else "; --name gives another"
        progress.note(
            f"{given.name}: {network.description}; {network.likeness}; the build is called "
            f"{request.stem}{other}"
        )
    for line in network.notes():
        progress.note(line)
    return network


def _drawn(network: Network, exported: ExportedModel, float_file: str) -> Outputs:
    """Return what the original and the float graph drew when the graph was proven."""
    inputs = tuple(probe.values for probe in exported.probes)
    by_file = {network.original_kind: exported.original_outputs, float_file: exported.outputs}
    return Outputs(("half picture, half noise",) * len(inputs), inputs, by_file)


def _in_form(exported: ExportedModel, shipped: GraphIndex, form: Form) -> onnx.ModelProto:
    """Return the float model in the form that is asked for, proven for one picture.

    Raises:
        GraphError: the network cannot be written so.
    """
    if not form.usual:
        prove_form(exported.model, in_form(exported.model, form), exported.probes[0])
    return in_form(shipped.model, form)


def _export(network: Network, request: BuildRequest, progress: Progress) -> ExportedModel:
    """Make and lower the float model, proven on a real picture, or take up a kept one."""
    if request.execution.resume:
        kept = find_export(request.folder / UNFINISHED_NAME, network, request)
        if kept is not None:
            progress.note(f"using the exported float model of {network.name}")
            return kept
    with progress.stage(f"exporting {network.name}: {network.description}", 1) as advance:
        probe = verification_pictures(request.tile.size).patches[0].load()
        exported = network.export([to_input(probe, request.tile.channels)])
        found = lower_graph(exported.model, request.lowering, exported.probes)
        advance()
    for line in (*exported.notes, *found.notes()):
        progress.note(line)
    return replace(exported, model=found.model, probes=found.probes)
