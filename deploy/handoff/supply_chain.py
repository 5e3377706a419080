"""Say in standard forms what a bundle was made of and how: an SBOM and a provenance statement.

- ``sbom.cdx.json``: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/): the network as a
  machine-learning model, and every installed library that esrdeploy needs.
- ``provenance.intoto.json``: an in-toto statement (https://in-toto.io/Statement/v1) whose predicate
  is SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance): every file of the bundle by digest,
  the options that shaped it, and what went in.

Neither holds a time, a serial number or a name of the machine: equal bundles have equal ones.
"""

from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from calib.digest import canonical_json
from deploy import __version__
from deploy.handoff.bundle_manifest import BundleFile, BundleManifest

SBOM_NAME = "sbom.cdx.json"
PROVENANCE_NAME = "provenance.intoto.json"
_OURS = "esrdeploy"


def write_sbom(root: Path, manifest: BundleManifest) -> None:
    """Write the software bill of materials of a bundle below ``root``."""
    libraries = dict(sorted(installed_libraries().items()))
    model = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": manifest.model,
        "description": manifest.network.architecture,
        "hashes": [{"alg": "SHA-256", "content": manifest.weights.sha256}],
    }
    own = _library(_OURS, __version__)
    components = [own, *(_library(name, version) for name, version in libraries.items())]
    needed = [_purl(name, version) for name, version in libraries.items()]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": model, "tools": {"components": [own]}},
        "components": components,
        "dependencies": [{"ref": own["bom-ref"], "dependsOn": needed}],
    }
    (root / SBOM_NAME).write_bytes(canonical_json(document))


def write_provenance(root: Path, manifest: BundleManifest) -> None:
    """Write the provenance of every file that lies below ``root`` by now."""
    files = [BundleFile.of(root, path) for path in sorted(root.rglob("*")) if path.is_file()]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file.path, "digest": {"sha256": file.sha256}} for file in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{_purl(_OURS, __version__)}#handoff",
                "externalParameters": {
                    "model": manifest.model,
                    "network": asdict(manifest.network),
                    "options": asdict(manifest.options),
                    "vendors": [vendor.name for vendor in manifest.vendors],
                },
                "internalParameters": {},
                "resolvedDependencies": list(_inputs(manifest)),
            },
            "runDetails": {
                "builder": {
                    "id": _purl(_OURS, __version__),
                    "version": dict(manifest.versions),
                }
            },
        },
    }
    (root / PROVENANCE_NAME).write_bytes(canonical_json(statement))


def installed_libraries() -> dict[str, str]:
    """Return the version of every installed distribution that esrdeploy needs, however far down.

    Extras that this environment lacks are no part of it.
    """
    found: dict[str, str] = {}
    waiting = [_OURS]
    while waiting:
        for name in _needs(waiting.pop()):
            if name in found or name == _OURS:
                continue
            try:
                found[name] = distribution(name).version
            except PackageNotFoundError:
                continue
            waiting.append(name)
    return found


def _needs(name: str) -> Iterator[str]:
    """Yield the names of what a distribution requires here."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def _inputs(manifest: BundleManifest) -> Iterator[dict[str, Any]]:
    for name, sha256 in manifest.weights.files.items():
        yield {"name": name, "digest": {"sha256": sha256}}
    images = manifest.calibration.images
    yield {"name": f"{images.count} calibration pictures", "digest": {"sha256": images.digest}}
    for name, version in manifest.versions.items():
        yield {"uri": _purl(name, version)}


def _library(name: str, version: str) -> dict[str, str]:
    purl = _purl(name, version)
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _purl(name: str, version: str) -> str:
    """Return the package URL of a distribution.

    >>> _purl("torch", "2.9.0+cpu")
    'pkg:pypi/torch@2.9.0%2Bcpu'
    """
    encoded = version.replace("+", "%2B").replace("!", "%21")  # all else in a version is plain
    return f"pkg:pypi/{canonicalize_name(name)}@{encoded}"
