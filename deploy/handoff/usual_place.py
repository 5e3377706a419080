"""Say where the bundle of a build goes when nobody says so, and that nothing is lost there."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from calib.dataset import PatchRef
from calib.errors import EsrdeployError, UsageError
from deploy.artifacts.build_folder import Build
from deploy.handoff.bundle_manifest import BundleManifest, read_contents
from deploy.handoff.bundle_zip import opened


def usual_place(build: Build, vendors: Collection[str], pictures: Sequence[PatchRef]) -> Path:
    """Return ``MODEL-handoff.zip`` beside a build's folder.

    Args:
        build: what is handed over.
        vendors: names of those the bundle is for.
        pictures: that its golden vectors are made of.

    Raises:
        UsageError: a bundle for other vendors, or with other golden vectors, lies there.
    """
    out = build.folder.parent / f"{build.manifest.stem}-handoff.zip"
    there = _bundle_at(out)
    if there is None:
        return out
    lost = sorted({vendor.name for vendor in there.vendors} - {*vendors})
    if lost:
        raise UsageError(
            f"{out} is a bundle for {', '.join(lost)}; name another file with --out, or every "
            "vendor with --vendor"
        )
    if [vector.sha256 for vector in there.golden] != [picture.sha256 for picture in pictures]:
        raise UsageError(
            f"{out} is a bundle with golden vectors of {there.golden_pictures}, not of the "
            "pictures of this one: what a vendor returns of those could not be judged any more; "
            "name another file with --out, or take that one away"
        )
    return out


def _bundle_at(path: Path) -> BundleManifest | None:
    """Return what a bundle holds; ``None`` where there is none."""
    if path.is_file():
        with suppress(EsrdeployError), opened(path) as bundle:
            return read_contents(bundle)
    return None
