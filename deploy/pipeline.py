"""A build request in, a verified folder of artifacts out: the whole story, top to bottom."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from calib.dataset import PatchSet
from calib.files import write_atomically
from calib.images import to_input
from calib.sample import verification_pictures
from calib.table import CalibrationTable
from deploy.artifacts.files import MANIFEST_NAME, REPORT_NAME, Artifact, claim_folder
from deploy.artifacts.manifest import Manifest
from deploy.build.calibrate import calibration_table, table_artifacts
from deploy.build.describe import describe
from deploy.build.quantize import Quantizer
from deploy.build.request import BuildRequest
from deploy.build.write_models import pictures_of, write_fp16, write_fp32, write_int8, write_parity
from deploy.network.export import ExportedModel, export_float
from deploy.network.load import Network, load_network
from deploy.progress import Progress
from deploy.report import Album, write_report
from deploy.verify.verdict import Verification, check_contents, compare_contents
from quant.fp16.range import nodes_to_keep, require_nodes
from quant.planner import part_precisions
from quant.targets import find_profile


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
    profiles = [find_profile(name) for name in request.targets]
    for profile in profiles:
        part_precisions(profile, request.quantization)
        if request.budget is not None:
            profile.higher_precision(full_integer=request.quantization.full_integer)
    network = load_network(request.model, request.weights)
    source = request.calibration.source() if request.builds("fp16") else None
    pictures = verification_pictures()
    folder = claim_folder(request.out / network.name)
    for name in (MANIFEST_NAME, REPORT_NAME):
        (folder / name).unlink(missing_ok=True)

    exported = _export(network, pictures, progress)
    model = exported.model
    require_nodes(model, request.fp16_keep)
    table: CalibrationTable | None = None
    kept: Mapping[str, str] = {}
    promoted: dict[str, Mapping[str, str]] = {}
    if source is not None:
        table = calibration_table(
            model, source, folder, execution=request.execution, progress=progress
        )
        kept = nodes_to_keep(model, table, request.fp16_keep)
    artifacts = write_fp32(folder, network.name, model)
    if source is not None and table is not None:
        artifacts += table_artifacts(folder)
        artifacts += write_fp16(folder, network.name, model, table, kept=kept)
        drawn = pictures_of(source, exported.probes[0])
        for profile in profiles if request.builds("int8") else ():
            quantizer = Quantizer(model, table, profile, drawn, progress)
            written, promoted[profile.name] = write_int8(
                folder, network.name, quantizer, request.quantization, request.budget
            )
            artifacts += written
    options = request.choices(promoted)
    draft = describe(network, table, options, artifacts, fp16_kept=kept)
    album = Album()
    contents = check_contents(folder, draft, progress)
    verification = compare_contents(
        contents, pictures, weights=request.weights, progress=progress, observe=album.observe
    )
    artifacts += write_parity(folder, verification.parity_record())
    manifest = replace(draft, artifacts=tuple(artifacts), parity=verification.parity_summary())
    write_atomically(folder / MANIFEST_NAME, manifest.content())
    if request.report:
        write_report(folder, progress, album, contents)
    return BuildOutcome(folder, manifest, verification)


@dataclass(frozen=True)
class CalibrationOutcome:
    """A calibration table on disk beside the float model it belongs to.

    Attributes:
        model: the float model.
        table: the statistics.
        artifacts: the files written.
        folder: where they lie.
    """

    model: onnx.ModelProto
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
    network = load_network(request.model, request.weights)
    source = request.calibration.source()
    folder = claim_folder(request.out / network.name)
    model = _export(network, verification_pictures(), progress).model
    table = calibration_table(model, source, folder, execution=request.execution, progress=progress)
    artifacts = write_fp32(folder, network.name, model) + table_artifacts(folder)
    return CalibrationOutcome(model, table, tuple(artifacts), folder)


def _export(network: Network, pictures: PatchSet, progress: Progress) -> ExportedModel:
    """Trace and simplify the float model, proven on a real picture."""
    with progress.stage(f"exporting {network.name}: {network.architecture}", 1) as advance:
        probe = to_input(pictures.patches[0].load())
        exported = export_float(network.architecture, network.checkpoint.tensors, [probe])
        advance()
    return exported
