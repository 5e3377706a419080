"""Manifests of builds whose files are not there: enough to be found and chosen from."""

from collections.abc import Sequence

from calib.digest import sha256_bytes
from calib.images_record import ImagesSummary
from calib.tile import USUAL_SIZE, Tile
from deploy.artifacts.build_options import BuildOptions, TargetOptions
from deploy.artifacts.files import Artifact, model_file_name, plan_file_name
from deploy.artifacts.manifest import CalibrationRecord, Manifest
from deploy.artifacts.network_record import NetworkRecord
from deploy.artifacts.precision import ModelPrecision
from deploy.artifacts.weights_record import WeightsRecord

NOTHING = sha256_bytes(b"")


def manifest_of(
    model: str, files: Sequence[tuple[ModelPrecision, str | None]], scale: int = 4
) -> Manifest:
    """Return the manifest of a build of such models, with the records that belong to them."""
    targets = [target for _, target in files if target]
    records = ["parity.json", "calibration.json", "calibration.npz"]
    records += [plan_file_name(model, target) for target in targets]
    models = [
        Artifact(model_file_name(model, precision, target), NOTHING, 0, precision, target, 17)
        for precision, target in files
    ]
    return Manifest(
        model,
        NetworkRecord("a network", None, (), scale, 1, 1, Tile()),
        WeightsRecord("file", NOTHING, {}, None, None),
        CalibrationRecord(NOTHING, ImagesSummary("sample", "crop", 0, 1, 1, USUAL_SIZE, NOTHING)),
        BuildOptions(files[-1][0], dict.fromkeys(targets, TargetOptions())),
        (*models, *(Artifact(name, NOTHING, 0) for name in records)),
    )
