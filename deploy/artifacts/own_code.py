"""Take a digest of the code that makes artifacts: what another code made is not gone on from."""

import functools
from importlib import resources

from calib.digest import canonical_json, sha256_bytes
from deploy.artifacts.manifest import library_versions

_PACKAGES = ("calib", "quant", "deploy")


@functools.cache
def code_digest() -> str:
    """Return one sha256 of every module of esrdeploy, and of the versions that it runs with."""
    modules = {}
    for package in _PACKAGES:
        with resources.as_file(resources.files(package)) as root:
            for path in sorted(root.rglob("*.py")):
                name = f"{package}/{path.relative_to(root).as_posix()}"
                modules[name] = sha256_bytes(path.read_bytes())
    return sha256_bytes(canonical_json([modules, library_versions()]))
