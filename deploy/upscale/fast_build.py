"""Find the full-integer build of a network: the quickest, and the furthest from float."""

from pathlib import Path

from calib.errors import UsageError
from deploy.artifacts.files import MANIFEST_NAME, TABLE_NAME
from deploy.artifacts.find_build import build_folders, find_build
from deploy.artifacts.manifest import Manifest, read_manifest
from deploy.network.known_models import how_to_build


def fast_build(builds: Path, model: str | None = None) -> Path:
    """Return the folder of the full-integer build of the network that is asked for.

    It is the build named, where that is full-integer, or another one under ``builds`` of the same
    network.

    Args:
        builds: folder of builds, or a build itself.
        model: name of a build in it; ``None``: the only one that is full-integer.

    Raises:
        UsageError: there is no such build, or there are several.
        VerificationError: a manifest is broken.
    """
    found = [(folder, read_manifest(folder / MANIFEST_NAME)) for folder in build_folders(builds)]
    fast = [(folder, manifest) for folder, manifest in found if is_full_integer(manifest)]
    if model is not None or not fast:
        named, manifest = find_build(builds, model, how_to_build)
        if is_full_integer(manifest):
            return named
        fast = [(folder, other) for folder, other in fast if _of_one_network(other, manifest)]
        if not fast:
            raise UsageError(
                f"found no full-integer build of {manifest.model} in {builds}; run the command "
                f"that built it with --full-integer --name {manifest.model}-fast --calib-table "
                f"{named / TABLE_NAME}, which calibrates on no picture again"
            )
    if len(fast) > 1:
        names = ", ".join(folder.name for folder, _ in fast)
        raise UsageError(
            f"found several full-integer builds in {builds}: {names}; choose one with --model"
        )
    return fast[0][0]


def _of_one_network(one: Manifest, other: Manifest) -> bool:
    return (one.weights.sha256, one.network) == (other.weights.sha256, other.network)


def is_full_integer(manifest: Manifest) -> bool:
    """Tell whether a build has int8 files, all of which were asked to leave nothing in float."""
    made = manifest.options.targets.values()
    return bool(made) and all(item.quantization.full_integer for item in made)
