"""Tell a simulation: environments, then route by route stages, outputs and the verdict on them."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from calib.digest import sha256_file
from calib.errors import UsageError
from calib.files import temporary_folder
from deploy.artifacts.files import MANIFEST_NAME
from deploy.handoff.bundle_manifest import BundleManifest, read_contents
from deploy.handoff.bundle_zip import opened
from deploy.progress import Progress
from deploy.simulate.environment import make_environment
from deploy.simulate.journey import Journey
from deploy.simulate.outcome import Simulation
from deploy.simulate.plan import SimulationPlan
from deploy.simulate.record import SimulationRecord, open_folder
from deploy.simulate.toolchain import Route

_SLOW_MINUTES = 0.5


def simulate(plan: SimulationPlan, progress: Progress) -> Simulation:
    """Run a bundle in a toolchain and judge what comes out.

    Raises:
        UsageError: the bundle has no file that the toolchain takes, or the folder of outputs is
            another's.
        ToolchainError: the toolchain cannot be installed, failed, or did not end in time.
        VerificationError: the bundle is damaged.
    """
    toolchain, request = plan.toolchain, plan.request
    with _own_copy(request.bundle) as root:
        manifest = read_contents(root)
        manifest.network.require_picture("'simulate'")
        routes, left_out = routes_of(plan, manifest)
        folder = request.out or Path(f"{manifest.stem}-{toolchain.name}-simulated")
        environments = tuple(place.folder.name for place in plan.places)
        digest = sha256_file(root / MANIFEST_NAME)
        open_folder(folder, SimulationRecord(digest, toolchain.name, environments))
        journeys = [Journey(plan, root, manifest, route, folder / route.name) for route in routes]
        for line in _slowness(plan, manifest, journeys):
            progress.note(line)
        for place in plan.places:
            make_environment(place, folder / "install.log", request.limit_s, progress)
        gone = [journey.go(progress) for journey in journeys]
        return Simulation(toolchain, manifest.model, folder, tuple(gone), left_out)


def require_route(plan: SimulationPlan) -> None:
    """Make sure that a bundle has a file that the toolchain takes, before anything is installed.

    Raises:
        UsageError: it has none, or lacks that of a route that was asked for by name.
        VerificationError: the bundle is damaged.
    """
    with opened(plan.request.bundle) as root:
        routes_of(plan, read_contents(root))


def _slowness(
    plan: SimulationPlan, manifest: BundleManifest, journeys: Sequence[Journey]
) -> Iterator[str]:
    """Yield what a user should know before a slow toolchain runs a network of this size."""
    rate = plan.toolchain.seconds_per_gmac
    network = manifest.network
    gmacs = network.macs / 1e9
    minutes = (rate or 0.0) * gmacs / 60
    left = sum(len(journey.left) for journey in journeys)
    if minutes < _SLOW_MINUTES or not left:
        return
    yield (
        f"{plan.toolchain.name} is slow: {manifest.model} at {network.tile.size}, as the bundle "
        f"has it, is {gmacs:.3g} billion multiply-accumulates, about {minutes:.2g} minutes a "
        f"picture on two cores; pictures to run on all routes: {left}. --first N runs fewer, "
        "and a build of a smaller --size is quicker"
    )


@contextmanager
def _own_copy(bundle: Path) -> Iterator[Path]:
    """Give a folder with the bundle that a toolchain may write into, as long as it is used."""
    with opened(bundle) as root:
        if bundle.is_file():
            yield root.resolve()
            return
        with temporary_folder("bundle") as temporary:
            yield Path(shutil.copytree(root, temporary / "bundle")).resolve()


def routes_of(plan: SimulationPlan, manifest: BundleManifest) -> tuple[list[Route], dict[str, str]]:
    """Return the routes that a bundle has the files for, and why each other is left out.

    Raises:
        UsageError: there is none, or one is missing that was asked for by name.
    """
    toolchain, asked = plan.toolchain, plan.request.routes
    form = manifest.network.form
    if not form.usual and not toolchain.takes_form:
        raise UsageError(
            f"found a bundle with {form.options}; {toolchain.name} is run on bundles of the usual "
            "form: hand off a build without that"
        )
    taken, left_out = [], {}
    for route in toolchain.routes:
        if asked and route.name not in asked:
            continue
        if route.file(manifest) is None:
            left_out[route.name] = f"the bundle lacks its file; make one with {route.lacking}"
        elif route.takes_pictures and not manifest.calibration_pictures:
            left_out[route.name] = "the bundle holds no calibration pictures"
        else:
            taken.append(route)
    if not taken or (asked and left_out):
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise UsageError(f"{toolchain.name} cannot run this bundle: {reasons}")
    return taken, left_out
