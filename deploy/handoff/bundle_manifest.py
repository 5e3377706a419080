"""Record what lies in a bundle in its ``manifest.json``, and read that back.

manifest.json                 this
README.md, LICENSES.md        for people
esrdeploy-VERSION-….whl       this package, as it made the bundle
processing.py                 pre- and post-processing, numpy and cv2 alone
tiles.py                      cuts pictures of any size, and joins what is made of the tiles
models/                       the ONNX files
golden/picture/NAME.png       uint8 RGB, of the network's input size
golden/input/NAME.npy         the same in the form that the files take, usually float32 [1,C,H,W]
golden/float/NAME.npy         what the float model makes of it, float32 in that form
golden/int8-PROFILE/NAME.npy  what that QDQ model makes of it, in QDQ reference semantics
calibration/                  the calibration set, or how to make it
VENDOR/                       what that vendor's tools take, with a README.md
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from calib.digest import sha256_file
from calib.errors import UsageError, VerificationError
from calib.images_record import Origin
from calib.records import Count, PlainName, PlainPath, Sha256, encode, read
from calib.words import counted
from deploy.artifacts.build_options import BuildOptions
from deploy.artifacts.files import MANIFEST_NAME
from deploy.artifacts.manifest import CalibrationRecord, library_versions, written_as
from deploy.artifacts.network_record import NetworkRecord
from deploy.artifacts.weights_record import WeightsRecord

SCHEMA: Literal["esrdeploy.handoff/13"] = "esrdeploy.handoff/13"
INPUT_KIND = "input"
FLOAT_KIND = "float"
INT8_PREFIX = "int8-"
CALIBRATION_PICTURES = "calibration/images/"


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle.

    Attributes:
        path: POSIX, relative to the bundle's root.
        sha256: digest of its content.
        size_bytes: its length.
    """

    path: PlainPath
    sha256: Sha256
    size_bytes: Count

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
        origin: of that: the embedded ``sample``, or a ``folder`` of the builder's own pictures.
        sha256: of the picture's uint8 RGB bytes in row order.
        psnr_db: parity with float of each int8 model, by profile.
        operands_db: the same, with nothing rounded but the operands of int8 convolutions
            (deploy/handoff/nearest_int8.py).
    """

    name: PlainName
    source: str
    origin: Origin
    sha256: Sha256
    psnr_db: Mapping[str, float]
    operands_db: Mapping[str, float]


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
        network: what was built.
        weights: what it was built from.
        calibration: the calibration table.
        options: how the int8 models were quantized.
        float_model: path of the float ONNX.
        quantizable_models: by profile, paths of float models whose weights lie on the grid of that
            profile's int8 weights.
        int8_models: paths of the QDQ models by profile.
        golden: at least :data:`deploy.handoff.golden.FEWEST` vectors.
        vendors: what the bundle is for.
        files: every other file of the bundle.
        saturable: by profile, how many convolutions of the int8 model saturate 16-bit sums on a CPU
            without VNNI, if the pictures are so.
        wheel: path of the package that made the bundle, to be installed from.
        weights_licence: what the builder says of the weights' licence, if anything.
        versions: of esrdeploy and the libraries that took part.
        schema: version of the format.
    """

    model: PlainName
    network: NetworkRecord
    weights: WeightsRecord
    calibration: CalibrationRecord
    options: BuildOptions
    float_model: PlainPath
    quantizable_models: Mapping[str, PlainPath]
    int8_models: Mapping[str, PlainPath]
    golden: tuple[GoldenVector, ...]
    vendors: tuple[VendorRecord, ...]
    files: tuple[BundleFile, ...]
    saturable: Mapping[str, Count]
    wheel: PlainPath
    weights_licence: str | None = None
    versions: Mapping[str, str] = field(default_factory=library_versions)
    schema: Literal["esrdeploy.handoff/13"] = SCHEMA

    @property
    def stem(self) -> str:
        """What the names of model files begin with: the model, and its input where unusual."""
        return self.network.tile.named(self.model)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along one side."""
        return self.network.scale

    @property
    def golden_pictures(self) -> str:
        """Whose pictures the golden vectors are of, in words."""
        own = sum(vector.origin == "folder" for vector in self.golden)
        counts = {"the builder's own": own, "the embedded sample": len(self.golden) - own}
        return " and ".join(
            f"{counted(count, 'picture')} of {whose}" for whose, count in counts.items() if count
        )

    @property
    def calibration_pictures(self) -> tuple[str, ...]:
        """Paths of the calibration pictures; none where they stayed at home."""
        paths = (item.path for item in self.files)
        return tuple(path for path in paths if path.startswith(CALIBRATION_PICTURES))

    def vendor(self, name: str | None) -> VendorRecord:
        """Return the record of a vendor; ``None`` stands for the only one.

        Raises:
            UsageError: the bundle is not for it, or is for several and none is named.
        """
        names = [item.name for item in self.vendors]
        if name is None and len(names) > 1:
            raise UsageError(
                f"the bundle is for {', '.join(names)}: say with --vendor whose results these are"
            )
        for item in self.vendors:
            if name in {None, item.name}:
                return item
        if name in self.int8_models:
            raise UsageError(
                f"found --vendor {name}, which is a target: say --profile {name}, and with "
                f"--vendor {' or '.join(names)} whose results these are"
            )
        raise UsageError(f"the bundle is for {', '.join(names)}, not for {name}")

    def record(self) -> dict[str, Any]:
        """Return the manifest as a JSON-able mapping."""
        return asdict(self)

    def content(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        return encode(self)


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
        UsageError: it is missing, or a build's.
        VerificationError: it is no JSON, of another schema, no manifest, or contradicts
            itself.
    """
    path = root / MANIFEST_NAME
    if not path.is_file():
        raise UsageError(
            f"found no {MANIFEST_NAME} in the bundle; make it with 'esrdeploy handoff'"
        )
    source, remedy = f"the bundle's {MANIFEST_NAME}", "make the bundle again"
    try:
        manifest = read(path, BundleManifest, VerificationError, remedy, source)
    except VerificationError:
        if written_as(path) == "build":
            raise UsageError(
                f"{root} is a build, not a bundle; 'esrdeploy handoff --vendor NAME {root}' makes "
                "a bundle of it"
            ) from None
        raise
    for problem in _problems(manifest):
        raise VerificationError(f"{source} {problem}; {remedy}")
    return manifest


def _problems(manifest: BundleManifest) -> Iterator[str]:
    """Say what a manifest with the right fields has wrong in them."""
    paths = [item.path for item in manifest.files]
    if len(set(paths)) != len(paths):
        yield "names a file twice"
    names = [item.name for item in manifest.golden]
    if not names or len(set(names)) != len(names):
        yield f"names the golden vectors {names}; expected at least one, each once"
    if not manifest.vendors:
        yield "is for no vendor"
    kinds = [INPUT_KIND, FLOAT_KIND, *map(int8_kind, manifest.int8_models)]
    needed = {golden_path(kind, name) for kind in kinds for name in names}
    needed |= {manifest.float_model, *manifest.quantizable_models.values()}
    needed |= {*manifest.int8_models.values(), manifest.wheel}
    for path in sorted(needed - {item.path for item in manifest.files}):
        yield f"does not name {path}, which the rest of it needs"
    for vendor in manifest.vendors:
        if vendor.profile not in manifest.int8_models:
            yield f"has no int8 model {vendor.profile!r} to judge {vendor.name} by"
    if set(manifest.saturable) != set(manifest.int8_models):
        yield "does not say of each int8 model how many of its convolutions can saturate"
    for vector in manifest.golden:
        figures = (vector.psnr_db, vector.operands_db)
        if any(set(figure) != set(manifest.int8_models) for figure in figures):
            yield f"has no parity figure of each int8 model for {vector.name}"
