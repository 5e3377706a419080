"""Describe a build that is not verified yet: the draft of its manifest."""

from collections.abc import Sequence
from typing import Any

from calib.images import PATCH_PX
from calib.table import CalibrationTable
from deploy.artifacts.files import Artifact
from deploy.artifacts.manifest import Manifest
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
    cost = architecture_complexity(network.architecture, PATCH_PX, PATCH_PX)
    return Manifest(
        model=network.name,
        network={
            "architecture": str(network.architecture),
            "scale": network.architecture.scale,
            "parameters": cost.parameters,
            "macs": cost.macs,
        },
        weights=network.checkpoint.record(),
        calibration=None if lowered.table is None else _calibration_record(lowered.table),
        options=request.choices() | {"promoted": dict(lowered.promoted)},
        artifacts=tuple(artifacts),
        fp16_kept=dict(lowered.fp16_kept),
    )


def _calibration_record(table: CalibrationTable) -> dict[str, Any]:
    """Return what identifies a table; the list of its images stands in the table itself."""
    images = {key: value for key, value in table.images.items() if key != "patches"}
    return {"digest": table.digest, "images": images}
