"""Define a toolchain: what is installed for it, what it takes of a bundle, what executes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from deploy.artifacts.precision import ModelPrecision
from deploy.handoff.bundle_manifest import BundleManifest
from deploy.simulate.npm import NpmPackage

FindFile = Callable[[BundleManifest], str | None]
"""From a bundle's manifest to the path of the file that a route begins with, if it has that."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that a toolchain runs in.

    Attributes:
        pins: requirements, each ``NAME==VERSION``.
        pythons: versions that serve, best first.
        size_mb: about what it takes on the disk.
        bare: more pins, installed afterwards and without what they ask for themselves.
        npm: packages of npm's registry, unpacked into its folder ``npm``.
    """

    pins: tuple[str, ...]
    pythons: tuple[str, ...]
    size_mb: int
    bare: tuple[str, ...] = ()
    npm: tuple[NpmPackage, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """All that is installed, as its installers take it."""
        return (*self.pins, *self.bare, *(package.pin for package in self.npm))


@dataclass(frozen=True)
class Program:
    """A program of this machine that a toolchain runs, or is fetched with.

    Attributes:
        name: for people, such as ``Chromium``.
        commands: what it may be called on ``PATH``, best first.
    """

    name: str
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One script of a toolchain.

    Attributes:
        name: of its log.
        driver: the script; it is given the path of a job (deploy/simulate/drivers/golden_job.py).
        environment: that it runs in.
    """

    name: str
    driver: Path
    environment: Environment


@dataclass(frozen=True)
class Route:
    """One way through a toolchain, from a file of the bundle to an output for each golden input.

    Attributes:
        name: of its folder.
        summary: what is built and run, for people.
        precision: that its outputs are judged in.
        file: the file of the bundle that it begins with.
        lacking: what to ask of ``esrdeploy handoff`` where a bundle does not have that file.
        profile: of our int8 model that it is held against; ``None``: the bundle's first.
        own_scales: the toolchain chooses its own scales, from the bundle's calibration pictures.
        asks_pictures: it is given those pictures though its scales are ours.
        makes: name of what the stages leave, where nothing here executes it; ``None``: outputs.
    """

    name: str
    summary: str
    precision: ModelPrecision
    file: FindFile
    lacking: str
    profile: str | None = None
    own_scales: bool = False
    asks_pictures: bool = False
    makes: str | None = None

    @property
    def takes_pictures(self) -> bool:
        """Whether it is given the bundle's calibration pictures."""
        return self.own_scales or self.asks_pictures


@dataclass(frozen=True)
class Toolchain:
    """One toolchain.

    Attributes:
        name: on the command line.
        summary: chips and tools, for people.
        executes: what computes the outputs, stated plainly.
        licence: of what is installed, as its packages state it.
        routes: at least one.
        stages: scripts that a route goes through, in order; the last one writes the outputs,
            or what a route makes.
        aliases: other names, such as the maker's.
        machines: kinds of Linux machine that its packages are for; none: any machine.
        takes_form: whether bundles of any form of pictures can be run.
        programs: of this machine that it runs.
        seconds_per_gmac: about what a billion multiply-accumulates take it on two cores, where that
            is so long that pictures take minutes; else ``None``.
    """

    name: str
    summary: str
    executes: str
    licence: str
    routes: tuple[Route, ...]
    stages: tuple[Stage, ...]
    aliases: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    takes_form: bool = False
    programs: tuple[Program, ...] = ()
    seconds_per_gmac: float | None = None

    @property
    def environments(self) -> tuple[Environment, ...]:
        """What its stages run in, each once."""
        return tuple(dict.fromkeys(stage.environment for stage in self.stages))


def driver(name: str) -> Path:
    """Return the path of a script of deploy/simulate/drivers."""
    return Path(str(resources.files("deploy.simulate") / "drivers" / name))


def float_file(manifest: BundleManifest) -> str | None:
    """Return the path of a bundle's float ONNX."""
    return manifest.float_model


def quantizable_file(manifest: BundleManifest) -> str | None:
    """Return the path of the float ONNX that is best for tools that quantize by themselves."""
    return next(iter(manifest.quantizable_models.values()), manifest.float_model)


def int8_file(profile: str) -> FindFile:
    """Return what finds the QDQ file of a profile."""
    return lambda manifest: manifest.int8_models.get(profile)


def float_route(
    summary: str = "the bundle's float ONNX",
    precision: ModelPrecision = "fp32",
    vendor: str = "vacc",
) -> Route:
    """Return the route of a bundle's float ONNX.

    Args:
        summary: what becomes of it.
        precision: that it is computed in.
        vendor: a bundle for whom has it.
    """
    return Route("float", summary, precision, float_file, f"--vendor {vendor}")


def own_route(summary: str, vendor: str = "vacc", profile: str | None = None) -> Route:
    """Return the route of a float ONNX that the toolchain quantizes with scales of its own.

    Args:
        summary: what becomes of it.
        vendor: a bundle for whom has the one that is best for that.
        profile: of our int8 model that it is held against; ``None``: the bundle's first.
    """
    return Route(
        "own", summary, "int8", quantizable_file, f"--vendor {vendor}", profile, own_scales=True
    )


def qdq_route(name: str, profile: str, summary: str, lacking: str) -> Route:
    """Return the route of a bundle's QDQ file of a profile, and so of our scales.

    Args:
        name: of the route.
        profile: of the file, and of our int8 model that it is held against.
        summary: what the file is, for people.
        lacking: what to ask of ``esrdeploy handoff`` where a bundle does not have the file.
    """
    return Route(name, summary, "int8", int8_file(profile), lacking, profile)


def file_with_our_ranges(manifest: BundleManifest) -> str | None:
    """Return the float ONNX of target ``qnn``'s weights, where its ranges are in the bundle too."""
    ranges = vendor_file("qnn/{stem}-w8a8.encodings.json")(manifest)
    return manifest.quantizable_models.get("qnn") if ranges else None


def ranges_route(name: str, summary: str, *, asks_pictures: bool = True) -> Route:
    """Return the route of that file, our ranges put in place of the toolchain's.

    Args:
        name: of the route.
        summary: how they reach it.
        asks_pictures: the toolchain does not work without calibration pictures.
    """
    lacking = "--vendor qnn --vendor rknn --profile qnn"
    return Route(
        name,
        summary,
        "int8",
        file_with_our_ranges,
        lacking,
        "qnn",
        asks_pictures=asks_pictures,
    )


def vendor_file(pattern: str) -> FindFile:
    """Return what finds a file of a vendor's folder.

    Args:
        pattern: its path in the bundle, with ``{stem}`` for what the names of models begin with.
    """

    def find(manifest: BundleManifest) -> str | None:
        path = pattern.format(stem=manifest.stem)
        return path if any(item.path == path for item in manifest.files) else None

    return find
