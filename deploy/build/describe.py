"""Describe a build that is not verified yet: the draft of its manifest."""

from collections.abc import Mapping, Sequence
from typing import Any

from calib.images import PATCH_PX
from calib.table import CalibrationTable
from deploy.artifacts.files import Artifact
from deploy.artifacts.manifest import Manifest
from deploy.network.load import Network
from deploy.network.macs import architecture_complexity


def describe(
    network: Network,
    table: CalibrationTable | None,
    options: Mapping[str, Any],
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
        calibration=None if table is None else _calibration_record(table),
        options=options,
        artifacts=tuple(artifacts),
        fp16_kept=dict(fp16_kept or {}),
    )


def _calibration_record(table: CalibrationTable) -> dict[str, Any]:
    """Return what identifies a table; the list of its images stands in the table itself."""
    images = {key: value for key, value in table.images.items() if key != "patches"}
    return {"digest": table.digest, "images": images}
