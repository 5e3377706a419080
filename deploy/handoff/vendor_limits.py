"""Refuse a build that some vendor's folder cannot be written of, before anything is made."""

from collections.abc import Callable, Iterator, Sequence

from calib.colours import GRAY
from calib.errors import UsageError
from calib.form import Form
from deploy.artifacts.manifest import Manifest
from deploy.handoff.vendor import Vendor

Limit = tuple[Callable[[Vendor], bool], Callable[[str], str]]
"""Whether a vendor takes something, and the refusal that names those who do not."""


def require_within_limits(vendors: Sequence[Vendor], manifest: Manifest) -> None:
    """Make sure that every vendor takes a build.

    Args:
        vendors: whom it is for.
        manifest: of the build.

    Raises:
        UsageError: one of them does not.
    """
    for within, refusal in _limits(manifest):
        refusing = [vendor.name for vendor in vendors if not within(vendor)]
        if refusing:
            raise UsageError(refusal(", ".join(refusing)))


def takes(vendor: Vendor, manifest: Manifest) -> bool:
    """Return whether a vendor's folder can be written of a build."""
    return all(within(vendor) for within, _ in _limits(manifest))


def _limits(manifest: Manifest) -> Iterator[Limit]:
    """Yield what a build asks of a vendor that not every one takes."""
    tile, form = manifest.network.tile, manifest.network.form
    lowering = ", ".join(manifest.options.lowering)
    if tile.batch > 1:
        yield (
            lambda vendor: vendor.takes_batch,
            lambda names: (
                f"found a build of {tile.batch} pictures at once; the tools of {names} take one "
                "and make the batch themselves: hand off a build without --batch"
            ),
        )
    if tile.channels == GRAY:
        yield (
            lambda vendor: vendor.takes_gray,
            lambda names: (
                f"found a network for gray pictures; how the tools of {names} take one is "
                "published nowhere: hand off to others"
            ),
        )
    if manifest.network.output != "picture":
        yield (
            lambda vendor: vendor.takes_map,
            lambda names: (
                f"found a network that gives out a {manifest.network.output}; the folders of "
                f"{names} are written for networks that enlarge pictures: hand off to others"
            ),
        )
    if lowering:
        yield (
            lambda vendor: vendor.takes_lowered,
            lambda names: (
                f"found a build with --lower {lowering}; the files of {names} are written of the "
                "network's own operators: hand off a build without --lower"
            ),
        )
    if not form.usual:
        yield (
            lambda vendor: vendor.takes_form,
            lambda names: (
                f"found a build with {form.options}; the tools of {names} make of a picture what "
                f"the usual files take ({Form()}): hand off a build without that"
            ),
        )
