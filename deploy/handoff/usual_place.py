"""Say where the bundle of a build goes when nobody says so, and that nothing is lost there."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from calib.errors import EsrdeployError, UsageError
from deploy.artifacts.build_folder import Build
from deploy.handoff.bundle_manifest import read_contents
from deploy.handoff.bundle_zip import opened


def usual_place(build: Build, vendors: Collection[str]) -> Path:
    """Return ``MODEL-handoff.zip`` beside a build's folder.

    Args:
        build: what is handed over.
        vendors: names of those the bundle is for.

    Raises:
        UsageError: a bundle for other vendors lies there.
    """
    out = build.folder.parent / f"{build.manifest.stem}-handoff.zip"
    lost = sorted(_vendors_of(out) - {*vendors})
    if lost:
        raise UsageError(
            f"{out} is a bundle for {', '.join(lost)}; name another file with --out, or every "
            "vendor with --vendor"
        )
    return out


def _vendors_of(path: Path) -> set[str]:
    """Return whom a bundle is for; nobody, where there is none."""
    if path.is_file():
        with suppress(EsrdeployError), opened(path) as bundle:
            return {vendor.name for vendor in read_contents(bundle).vendors}
    return set()
