"""Write and read ``manifest.json`` of a bundle, checked field by field.

manifest.json                 this
README.md, LICENSES.md        for people
processing.py                 pre- and post-processing, numpy and cv2 alone
models/                       the ONNX files
golden/picture/NAME.png       uint8 RGB, 128x128
golden/input/NAME.npy         the same as network input, float32 [1,3,128,128]
golden/float/NAME.npy         what the float model makes of it, float32 [1,3,H,W]
golden/int8-PROFILE/NAME.npy  what that QDQ model makes of it, in QDQ reference semantics
calibration/                  the calibration set, or how to make it
VENDOR/                       what that vendor's tools take, with a README.md
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from calib.digest import canonical_json, sha256_file
from calib.errors import VerificationError
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import library_versions

SCHEMA = "esrdeploy.handoff/1"
FLOAT_KIND = "float"
INT8_PREFIX = "int8-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle.

    Attributes:
        path: POSIX, relative to the bundle's root.
        sha256: digest of its content.
        size_bytes: its length.
    """

    path: str
    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, root: Path, file: Path) -> "BundleFile":
        """Describe a file that lies under ``root``."""
        return cls(file.relative_to(root).as_posix(), sha256_file(file), file.stat().st_size)


@dataclass(frozen=True)
class GoldenVector:
    """One input with the outputs it must give.

    Attributes:
        name: of its files, without suffix; a returned file carries it.
        source: the picture it was made from.
        sha256: of the picture's uint8 RGB bytes in row order.
        psnr_db: parity with float of each int8 model, by profile.
    """

    name: str
    source: str
    sha256: str
    psnr_db: Mapping[str, float]


@dataclass(frozen=True)
class VendorRecord:
    """What a bundle holds for one vendor.

    Attributes:
        name: of the vendor, and of its folder.
        profile: of the int8 model that stands for ours, when results come back.
        quantizes_itself: the vendor's tools choose their own scales.
        engines: what the vendor's own engine can run of it.
    """

    name: str
    profile: str
    quantizes_itself: bool
    engines: tuple[str, ...] = ()


@dataclass(frozen=True)
class BundleManifest:
    """What ``manifest.json`` of a bundle says.

    Attributes:
        model: name of the network.
        network: architecture, scale, parameters and multiply-accumulates.
        weights: origin and digests.
        calibration: digest of the calibration table and what identifies its images.
        options: how the int8 models were quantized.
        float_model: path of the float ONNX.
        equalized_models: paths of float models that compute the same, with channels of the sizes
            that quantize best.
        int8_models: paths of the QDQ models by profile.
        golden: at least :data:`deploy.handoff.golden.FEWEST` vectors.
        vendors: what the bundle is for.
        files: every other file of the bundle.
        versions: of esrdeploy and the libraries that took part.
    """

    model: str
    network: Mapping[str, Any]
    weights: Mapping[str, Any]
    calibration: Mapping[str, Any]
    options: Mapping[str, Any]
    float_model: str
    equalized_models: tuple[str, ...]
    int8_models: Mapping[str, str]
    golden: tuple[GoldenVector, ...]
    vendors: tuple[VendorRecord, ...]
    files: tuple[BundleFile, ...]
    versions: Mapping[str, str] = field(default_factory=library_versions)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side."""
        return int(self.network["scale"])

    def vendor(self, name: str | None) -> VendorRecord:
        """Return the record of a vendor; ``None`` stands for the only one.

        Raises:
            VerificationError: the bundle is not for it, or is for several and none is named.
        """
        names = [item.name for item in self.vendors]
        if name is None and len(names) > 1:
            raise VerificationError(
                f"the bundle is for {', '.join(names)}: say with --vendor whose results these are"
            )
        for item in self.vendors:
            if name in {None, item.name}:
                return item
        raise VerificationError(f"the bundle is for {', '.join(names)}, not for {name}")

    def record(self) -> dict[str, Any]:
        """Return the manifest as a JSON-able mapping."""
        return {"schema": SCHEMA, **asdict(self)}

    def content(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        return canonical_json(self.record())


def golden_path(kind: str, name: str) -> str:
    """Return where the array of a golden vector lies.

    >>> golden_path("int8-qnn", "00-chelsea")
    'golden/int8-qnn/00-chelsea.npy'
    """
    return f"golden/{kind}/{name}.npy"


def int8_kind(profile: str) -> str:
    """Return the kind of golden array that an int8 model makes."""
    return INT8_PREFIX + profile


def read_contents(root: Path) -> BundleManifest:
    """Read and check the manifest of the bundle that lies unpacked in ``root``.

    Raises:
        VerificationError: it is missing, no JSON, of another schema, lacks or adds a field, or
            holds a value of another kind.
    """
    path = root / MANIFEST_NAME
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise VerificationError(
            f"found no {MANIFEST_NAME} in the bundle; make it with 'esrdeploy handoff'"
        ) from error
    except ValueError as error:
        raise VerificationError(f"the bundle's {MANIFEST_NAME} is no JSON: {error}") from error
    found = fields.pop("schema", None) if isinstance(fields, dict) else None
    if found != SCHEMA:
        raise VerificationError(
            f"the bundle's {MANIFEST_NAME} has the schema {found!r}, expected {SCHEMA!r}"
        )
    try:
        manifest = BundleManifest(
            golden=tuple(GoldenVector(**item) for item in fields.pop("golden")),
            vendors=tuple(VendorRecord(**item) for item in fields.pop("vendors")),
            equalized_models=tuple(fields.pop("equalized_models")),
            files=tuple(BundleFile(**item) for item in fields.pop("files")),
            **fields,
        )
        problem = next(_problems(manifest), None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VerificationError(
            f"the bundle's {MANIFEST_NAME} lacks, adds or misuses a field: {error}"
        ) from error
    if problem is not None:
        raise VerificationError(f"the bundle's {MANIFEST_NAME} {problem}")
    return manifest


def _problems(manifest: BundleManifest) -> Iterator[str]:
    """Say what a manifest with the right fields has wrong in them."""
    yield from _file_problems(manifest.files)
    names = [item.name for item in manifest.golden]
    if not names or len(set(names)) != len(names) or not all(map(_NAME.fullmatch, names)):
        yield f"names the golden vectors {names}; expected plain names, each once"
    if not manifest.vendors:
        yield "is for no vendor"
    kinds = ["input", "float", *map(int8_kind, manifest.int8_models)]
    needed = {golden_path(kind, name) for kind in kinds for name in names}
    needed |= {manifest.float_model, *manifest.equalized_models}
    needed |= set(manifest.int8_models.values())
    for path in sorted(needed - {item.path for item in manifest.files}):
        yield f"does not name {path}, which the rest of it needs"
    for vendor in manifest.vendors:
        if vendor.profile not in manifest.int8_models:
            yield f"has no int8 model {vendor.profile!r} to judge {vendor.name} by"
    for vector in manifest.golden:
        if set(vector.psnr_db) != set(manifest.int8_models):
            yield f"has no parity figure of each int8 model for {vector.name}"
    if manifest.scale < 1:
        yield f"has the scale {manifest.scale}"


def _file_problems(files: Sequence[BundleFile]) -> Iterator[str]:
    paths = [item.path for item in files]
    if len(set(paths)) != len(paths):
        yield "names a file twice"
    for path in paths:
        if not all(_NAME.fullmatch(part) for part in path.split("/")):
            yield f"names the file {path!r}; expected plain names below the bundle's root"
    if not all(_SHA256.fullmatch(item.sha256) and item.size_bytes >= 0 for item in files):
        yield "has a file without a sha256 and a length"
