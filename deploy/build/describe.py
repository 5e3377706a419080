"""Describe a build that is not verified yet: the draft of its manifest."""

from collections.abc import Sequence

from calib.images import PATCH_PX
from deploy.artifacts.files import Artifact
from deploy.artifacts.manifest import CalibrationRecord, Manifest, NetworkRecord
from deploy.build.lower import Lowered
from deploy.build.request import BuildRequest
from deploy.network.load import Network
from deploy.network.macs import architecture_complexity


def describe(
    network: Network, request: BuildRequest, lowered: Lowered, artifacts: Sequence[Artifact]
) -> Manifest:
    """Return the manifest of a build that is not verified yet.

    Args:
        network: what was built.
        request: every choice that shaped the artifacts.
        lowered: what was made of the float model.
        artifacts: the files so far.
    """
    table = lowered.table
    calibration = None if table is None else CalibrationRecord(table.digest, table.images.summary)
    cost = architecture_complexity(network.architecture, PATCH_PX, PATCH_PX)
    return Manifest(
        model=network.name,
        network=NetworkRecord(
            str(network.architecture), network.architecture.scale, cost.parameters, cost.macs
        ),
        weights=network.checkpoint.record(),
        calibration=calibration,
        options=request.choices(lowered.promoted),
        artifacts=tuple(artifacts),
        fp16_kept=dict(lowered.fp16_kept),
    )
