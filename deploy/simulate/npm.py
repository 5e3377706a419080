"""Fetch packages from npm's registry, each held to the digest that its pin names.

npm itself fetches them, so its settings (registry, proxy, certificates) hold. Nothing of a package
is run, and none of what it asks for is fetched: it is only unpacked.
"""

import base64
import hashlib
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from calib.errors import ToolchainError
from calib.files import temporary_folder
from deploy.simulate.step import Step, run_step


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm's registry.

    Attributes:
        name: in the registry.
        version: one version.
        integrity: digest of its archive as npm spells it, ``sha512-`` and base64.
    """

    name: str
    version: str
    integrity: str

    @property
    def pin(self) -> str:
        """Name and version, as npm takes them."""
        return f"{self.name}@{self.version}"


def fetch_npm_package(package: NpmPackage, folder: Path, log: Path, limit_s: float) -> None:
    """Unpack a package into a folder of its name.

    Args:
        package: to fetch.
        folder: to unpack into.
        log: what npm says goes there.
        limit_s: how long it may take.

    Raises:
        ToolchainError: there is no npm, it cannot fetch the package, or the digest is another.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ToolchainError(f"{package.pin} is fetched with npm, which is not on PATH; install it")
    with temporary_folder("npm") as temporary:
        command = (npm, "pack", "--ignore-scripts", package.pin)
        run_step(Step(f"fetch {package.pin}", command, temporary, log, limit_s))
        archive = next(temporary.glob("*.tgz"), None)
        if archive is None:
            raise ToolchainError(f"npm left no archive of {package.pin}; its log is {log}")
        require_integrity(archive, package)
        with tarfile.open(archive) as packed:
            packed.extractall(temporary / "unpacked", filter="data")
        target = folder / package.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(temporary / "unpacked" / "package", target)


def require_integrity(archive: Path, package: NpmPackage) -> None:
    """Refuse an archive whose digest is not that of the pin.

    Raises:
        ToolchainError: with both digests.
    """
    digest = hashlib.sha512(archive.read_bytes()).digest()
    found = f"sha512-{base64.b64encode(digest).decode()}"
    if found != package.integrity:
        raise ToolchainError(
            f"npm gave another {package.pin}: found {found}, expected {package.integrity}"
        )
