"""Build a model: make a verified folder of artifacts of a request. Read it top to bottom."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from calib.files import write_atomically
from calib.graph import GraphIndex
from calib.images import to_input
from calib.sample import verification_pictures
from calib.table import CalibrationTable
from deploy.artifacts.files import MANIFEST_NAME, REPORT_NAME, Artifact, claim_folder
from deploy.artifacts.manifest import Manifest
from deploy.build.calibrate import calibration_table, require_fitting, table_artifacts
from deploy.build.describe import describe
from deploy.build.idle_options import parts_without_nodes
from deploy.build.lower import Lowered, lower
from deploy.build.request import BuildRequest
from deploy.build.write_models import write_fp32, write_parity
from deploy.network.export import ExportedModel, export_float
from deploy.network.load import Network, load_network
from deploy.progress import Progress
from deploy.report import write_report
from deploy.runtime.outputs import Outputs
from deploy.verify.contents import check_contents
from deploy.verify.explain import LAYER_PICTURES, VerifyOptions
from deploy.verify.torch_reference import REFERENCE, held_original
from deploy.verify.verdict import Verification, compare_build
from quant.fp16.range import require_nodes


@dataclass(frozen=True)
class BuildOutcome:
    """What was built, and whether it holds.

    Attributes:
        folder: where the artifacts lie.
        manifest: what they are.
        verification: what was checked of them.
    """

    folder: Path
    manifest: Manifest
    verification: Verification

    def record(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping."""
        return {
            "folder": str(self.folder),
            "manifest": self.manifest.record(),
            "verification": self.verification.record(),
        }


def build_model(request: BuildRequest, progress: Progress) -> BuildOutcome:
    """Build, verify and record one model.

    All input is read and judged before the first file is written. The manifest is written when
    all it names is there: a folder without one holds no finished build. The report is a view of it.

    Raises:
        InputError: the request, the weights or the images cannot be used.
    """
    request.require_possible()
    network = _loaded(request, progress)
    source = request.calibration.source() if request.builds("fp16") else None
    folder = claim_folder(request.folder)

    exported = _export(network, progress)
    graph = GraphIndex(exported.model)
    require_nodes(graph.model, request.fp16_keep)
    for line in parts_without_nodes(request.quantization, graph):
        progress.note(line)
    require_fitting(source, graph)
    for name in (MANIFEST_NAME, REPORT_NAME):
        (folder / name).unlink(missing_ok=True)
    lowered = Lowered()
    if source is not None:
        lowered = lower(request, graph, source, exported.probes[0], progress)
    artifacts = [*write_fp32(folder, network.name, graph.model), *lowered.artifacts]

    draft = describe(network, request, lowered, artifacts)
    checked = check_contents(folder, draft, progress)
    drawn = _drawn(exported, draft.float_artifact.path)
    original = replace(held_original(checked.build, network), drawn=drawn)
    options = VerifyOptions((), LAYER_PICTURES if request.report else 0, latency=True)
    verification = compare_build(checked, verification_pictures(), original, progress, options)
    parity = verification.parity_record()
    artifacts += write_parity(folder, parity)
    manifest = replace(draft, artifacts=tuple(artifacts), parity=parity.figures)
    write_atomically(folder / MANIFEST_NAME, manifest.content())
    if request.report:
        write_report(checked, verification, manifest, progress)
    return BuildOutcome(folder, manifest, verification)


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
            "graph_digest": self.table.graph_digest,
            "digest": self.table.digest,
            "images": asdict(self.table.images),
            "tensors": len(self.table.tensors),
            "artifacts": [asdict(artifact) for artifact in self.artifacts],
        }


def calibrate_model(request: BuildRequest, progress: Progress) -> CalibrationOutcome:
    """Export one model and calibrate it, and stop there.

    Raises:
        InputError: the request, the weights or the images cannot be used.
    """
    network = _loaded(request, progress)
    source = request.calibration.source()
    folder = claim_folder(request.folder)
    graph = GraphIndex(_export(network, progress).model)
    table = calibration_table(graph, source, folder, execution=request.execution, progress=progress)
    artifacts = write_fp32(folder, network.name, graph.model) + table_artifacts(folder)
    return CalibrationOutcome(table, tuple(artifacts), folder)


def _loaded(request: BuildRequest, progress: Progress) -> Network:
    """Load the network, and tell what was decided in reading its weights."""
    network = load_network(request.model, request.weights)
    for line in network.notes():
        progress.note(line)
    return network


def _drawn(exported: ExportedModel, float_file: str) -> Outputs:
    """Return what torch and the float graph drew when the graph was proven."""
    inputs = tuple(probe.values for probe in exported.probes)
    by_file = {REFERENCE: exported.torch_outputs, float_file: exported.outputs}
    return Outputs(("half picture, half noise",) * len(inputs), inputs, by_file)


def _export(network: Network, progress: Progress) -> ExportedModel:
    """Trace and simplify the float model, proven on a real picture."""
    with progress.stage(f"exporting {network.name}: {network.architecture}", 1) as advance:
        probe = to_input(verification_pictures().patches[0].load())
        exported = export_float(network.architecture, network.checkpoint.tensors, [probe])
        advance()
    return exported
