"""Describe a build that is not verified yet: the draft of its manifest."""

from collections.abc import Mapping, Sequence

from calib.images import PATCH_PX
from calib.table import CalibrationTable
from deploy.artifacts.files import Artifact
from deploy.artifacts.manifest import BuildOptions, CalibrationRecord, Manifest, NetworkRecord
from deploy.network.load import Network
from deploy.network.macs import architecture_complexity


def describe(
    network: Network,
    table: CalibrationTable | None,
    options: BuildOptions,
    artifacts: Sequence[Artifact],
    *,
    fp16_kept: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the manifest of a build that is not verified yet.

    Args:
        network: what was built.
        table: what it was calibrated with, if anything.
        options: every choice that shaped the artifacts.
        artifacts: the files so far.
        fp16_kept: nodes that the fp16 model computes in float32, each with its reason.
    """
    calibration = None if table is None else CalibrationRecord(table.digest, table.images.summary)
    cost = architecture_complexity(network.architecture, PATCH_PX, PATCH_PX)
    return Manifest(
        model=network.name,
        network=NetworkRecord(
            str(network.architecture), network.architecture.scale, cost.parameters, cost.macs
        ),
        weights=network.checkpoint.record(),
        calibration=calibration,
        options=options,
        artifacts=tuple(artifacts),
        fp16_kept=dict(fp16_kept or {}),
    )
