"""Describe a build that is not verified yet: the draft of its manifest."""

from collections.abc import Sequence

from calib.graph import GraphIndex
from deploy.artifacts.files import TABLE_ARRAYS_NAME, TABLE_NAME, Artifact
from deploy.artifacts.manifest import CalibrationRecord, Manifest, library_versions
from deploy.artifacts.network_record import NetworkRecord
from deploy.artifacts.precision import PRECISIONS
from deploy.build.earlier import Earlier
from deploy.build.lower import Lowered
from deploy.network.exported import enlargement
from deploy.network.macs import complexity
from deploy.network.network import Network


def describe(
    network: Network,
    shipped: GraphIndex,
    earlier: Earlier,
    lowered: Lowered,
    artifacts: Sequence[Artifact],
) -> Manifest:
    """Return the manifest of a build that is not verified yet.

    Args:
        network: what was built.
        shipped: its float model.
        earlier: every choice that shaped the artifacts, and what is kept of the build before.
        lowered: what was made of the float model.
        artifacts: the files so far, without those that are kept.
    """
    table = lowered.table
    calibration, fp16_kept = earlier.calibration, lowered.fp16_kept
    if table is not None:
        calibration = CalibrationRecord(table.digest, table.images.summary)
    elif earlier.manifest is not None:
        fp16_kept = earlier.manifest.fp16_kept
    tile = earlier.request.tile
    cost = complexity(shipped.model)
    return Manifest(
        model=network.name,
        network=NetworkRecord(
            network.description,
            network.known_as,
            network.same_architecture_as,
            enlargement(shipped.model),
            cost.parameters,
            cost.macs,
            tile,
            network.told,
            earlier.request.form,
            network.output,
        ),
        weights=network.made_from,
        calibration=calibration,
        options=earlier.options(lowered.targets),
        artifacts=tuple(sorted((*earlier.kept, *artifacts), key=_place)),
        fp16_kept=dict(fp16_kept),
        versions=library_versions(network.libraries),
    )


def _place(item: Artifact) -> int:
    """Return where the manifest names a file: float, table, fp16, int8 with its records."""
    if item.precision is not None:
        return 2 * PRECISIONS.index(item.precision)
    return 1 if item.path in {TABLE_NAME, TABLE_ARRAYS_NAME} else 2 * len(PRECISIONS)
