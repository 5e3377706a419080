"""Say where the bundle of a build goes when nobody says so, and that nothing is lost there."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from calib.dataset import PatchRef
from calib.errors import EsrdeployError, UsageError
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import Manifest
from deploy.handoff.bundle_manifest import BundleManifest, read_contents
from deploy.handoff.bundle_zip import opened, require_place


def usual_path(folder: Path, manifest: Manifest, vendors: Collection[str], number: int = 1) -> Path:
    """Return ``MODEL-VENDORS-handoff.zip`` beside a build's folder, or one with a number.

    Args:
        folder: of the build.
        manifest: of the build.
        vendors: names of those the bundle is for.
        number: of the bundle, from 1.
    """
    numbered = "" if number == 1 else f"-{number}"
    whom = "-".join(sorted({*vendors}))
    return folder.parent / f"{manifest.stem}-{whom}-handoff{numbered}.zip"


def usual_place(build: Build, vendors: Collection[str], pictures: Sequence[PatchRef]) -> Path:
    """Return ``MODEL-VENDORS-handoff.zip`` beside a build's folder.

    Args:
        build: what is handed over.
        vendors: names of those the bundle is for.
        pictures: that its golden vectors are made of.

    Raises:
        UsageError: a bundle for other vendors, or with other golden vectors, lies there, or a
            folder.
    """
    path = usual_path(build.folder, build.manifest, vendors)
    _require_nothing_lost(path, vendors, pictures)
    return path


def first_place(build: Build, vendors: Collection[str], pictures: Sequence[PatchRef]) -> Path:
    """Return the first of a build's usual paths where nothing is lost; as :func:`usual_place`."""
    for number in count(1):  # a path where nothing lies comes in the end
        path = usual_path(build.folder, build.manifest, vendors, number)
        with suppress(UsageError):
            _require_nothing_lost(path, vendors, pictures)
            break
    return path


def bundle_at(path: Path) -> BundleManifest | None:
    """Return what a bundle holds; ``None`` where there is none."""
    if path.is_file():
        with suppress(EsrdeployError), opened(path, MANIFEST_NAME) as bundle:
            return read_contents(bundle)
    return None


def _require_nothing_lost(
    path: Path, vendors: Collection[str], pictures: Sequence[PatchRef]
) -> None:
    require_place(path)
    there = bundle_at(path)
    if there is None:
        return
    lost = sorted({vendor.name for vendor in there.vendors} - {*vendors})
    if lost:
        raise UsageError(
            f"{path} is a bundle for {', '.join(lost)}; name another file with --out, or every "
            "vendor with --vendor"
        )
    if [vector.sha256 for vector in there.golden] != [picture.sha256 for picture in pictures]:
        raise UsageError(
            f"{path} is a bundle with golden vectors of {there.golden_pictures}, not of the "
            "pictures of this one: what a vendor returns of those could not be judged any more; "
            "name another file with --out, or take that one away"
        )
