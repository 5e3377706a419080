"""Make the bundle of a build for vendors: the whole story, top to bottom."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import onnx

from calib.digest import sha256_file
from calib.errors import UsageError, VerificationError
from calib.files import temporary_folder
from deploy.artifacts.build_folder import Build, check_files, check_named, load_build
from deploy.artifacts.claim import claimed
from deploy.artifacts.files import MANIFEST_NAME, model_file_name, serialize
from deploy.artifacts.find_build import only_build
from deploy.artifacts.signature import Signer
from deploy.build.quantize import QuantizedModel
from deploy.handoff.bundle_manifest import BundleFile, BundleManifest, GoldenVector, VendorRecord
from deploy.handoff.bundle_zip import pack, require_place
from deploy.handoff.calibration_set import CalibrationSet, calibration_set
from deploy.handoff.common_files import write_common
from deploy.handoff.golden import FEWEST, golden_pictures, write_golden
from deploy.handoff.golden_set import GoldenSet
from deploy.handoff.int8_models import built_profiles, grid_model, int8_model
from deploy.handoff.kept_models import KeptModels, kept_folder
from deploy.handoff.outcome import HandoffOutcome
from deploy.handoff.own_wheel import write_own_wheel
from deploy.handoff.proof import prove_bundle
from deploy.handoff.supply_chain import write_provenance, write_sbom
from deploy.handoff.usual_place import usual_place
from deploy.handoff.vendor import MODELS, BundleContext, Vendor, quantizable_file_name
from deploy.handoff.vendor_limits import require_within_limits
from deploy.handoff.vendors import find_vendor
from deploy.handoff.verified import require_verified
from deploy.network.known_models import trained_by_real_esrgan
from deploy.progress import Progress
from quant.passes.forms.form import in_form
from quant.targets import find_profile

_STAND_IN = "qnn"
"""Profile made for a vendor that takes no int8 model, from a build without any: 8 bits on every
edge, what a chip that quantizes by itself computes with."""


@dataclass(frozen=True)
class HandoffRequest:
    """What to hand over.

    Attributes:
        build: folder of one build, or one above it.
        vendors: names of the vendors.
        out: the zip; ``None`` puts ``MODEL-VENDORS-handoff.zip`` beside the build's folder.
        images: folder that the golden pictures are taken from; ``None``: the embedded sample.
        count: how many golden pictures.
        calib: the user's calibration folder.
        include_images: calibration pictures of the user may be passed on.
        profiles: int8 models to make for the vendors if the build has none of them.
        weights_licence: licence of weights that no known release has, in the user's words.
        signer: who signs the bundle's manifest; ``None``: nobody.
        sbom: put in a software bill of materials.
        provenance: put in a statement of what each file was made from.
    """

    build: Path
    vendors: tuple[str, ...]
    out: Path | None = None
    images: Path | None = None
    count: int = FEWEST
    calib: Path | None = None
    include_images: bool = False
    profiles: tuple[str, ...] = ()
    weights_licence: str | None = None
    signer: Signer | None = None
    sbom: bool = False
    provenance: bool = False


def make_handoff(request: HandoffRequest, progress: Progress) -> HandoffOutcome:
    """Make the bundle of one build for some vendors.

    Raises:
        InputError: the request, the build or the images cannot be used.
        VerificationError: a file of the build was changed or failed its verification, or a
            vendor's engine does not compute from the bundle what it should.
    """
    if request.out is not None:
        require_place(request.out)
    found = map(find_vendor, request.vendors)
    vendors = list({vendor.name: vendor for vendor in found}.values())
    build = open_build(request.build)
    network = build.manifest.network
    require_within_limits(vendors, build.manifest)
    pictures = golden_pictures(build, request.images, request.count)
    calibration = calibration_set(build, request.calib, include_images=request.include_images)
    profiles = _profiles(vendors, build, request.profiles)
    wanted = dict.fromkeys(name for names in profiles.values() for name in names)
    require_verified(build, wanted)
    licence = _weights_licence(request, build)
    out = request.out or usual_place(build, [vendor.name for vendor in vendors], pictures)
    with claimed(out.parent), temporary_folder("handoff") as root:
        wheel = write_own_wheel(root)
        kept = KeptModels(kept_folder(), sha256_file(wheel))
        int8 = {profile: int8_model(build, profile, progress, kept) for profile in wanted}
        float_model = _write_models(root, build, int8)
        golden = write_golden(root, pictures, network, float_model, int8, progress)
        calibration.write(root)

        @cache
        def grid(profile: str) -> QuantizedModel:
            return grid_model(build, profile, int8[profile], progress, kept)

        for vendor in vendors:
            chosen = {name: int8[name] for name in profiles[vendor.name]}
            vendor.write(_context(vendor, root, build, calibration, golden, chosen, grid))
        written = GoldenSet(root, network.form, network.output, golden)
        proofs = prove_bundle(written, build.manifest.stem, vendors, progress)
        draft = _describe(root, build, golden, vendors, profiles, int8)
        draft = replace(draft, wheel=wheel.name, weights_licence=licence)
        write_common(root, draft, calibration, vendors)
        if request.sbom:
            write_sbom(root, draft)
        if request.provenance:
            write_provenance(root, draft)
        manifest = _with_files(root, draft)
        (root / MANIFEST_NAME).write_bytes(manifest.content())
        if request.signer is not None:
            request.signer.sign(root / MANIFEST_NAME)
        pack(root, out)
    verified_on = build.manifest.verified_on
    return HandoffOutcome(out, sha256_file(out), manifest, proofs, verified_on)


def open_build(path: Path) -> Build:
    """Return the one build at ``path`` or below it, every file of it proven.

    Raises:
        UsageError: there is none, or there are several.
        VerificationError: a file is not the one that the manifest names.
    """
    folder, manifest = only_build(path)
    asked = (*check_files(folder, manifest), *check_named(folder, manifest))
    failed = [check for check in asked if check.status != "passed"]
    build, unreadable = load_build(folder, manifest, [item.path for item in manifest.artifacts])
    for check in (*failed, *unreadable):
        raise VerificationError(
            f"{folder / check.artifact}: {check.detail}; run 'esrdeploy verify' and build again"
        )
    return build


def _profiles(
    vendors: Sequence[Vendor], build: Build, asked: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the profiles of each vendor's int8 models, the one that stands for ours first.

    These are the vendor's that were asked for or built; else its first.

    Raises:
        UsageError: a profile was asked for that none of the vendors takes.
    """
    built = built_profiles(build)
    asked = [find_profile(name).name for name in asked]
    taken = {name for vendor in vendors for name in vendor.profiles}
    for name in asked:
        if name not in taken:
            offered = ", ".join(sorted(taken)) or "no int8 model"
            raise UsageError(f"found --profile {name}; what these vendors take is {offered}")
    chosen = {
        vendor.name: tuple(name for name in vendor.profiles if name in {*built, *asked})
        or vendor.profiles[:1]
        for vendor in vendors
    }
    at_hand = [*built, *(name for names in chosen.values() for name in names)]
    stand_in = _STAND_IN if _STAND_IN in at_hand or not at_hand else at_hand[0]
    return {name: profiles or (stand_in,) for name, profiles in chosen.items()}


def _write_models(root: Path, build: Build, int8: dict[str, QuantizedModel]) -> onnx.ModelProto:
    """Write the models in the build's form, and return the float model as it is written."""
    form = build.manifest.network.form
    float_model = build.files[build.manifest.float_artifact.path]
    (root / MODELS).mkdir()
    models = {model_file_name(build.manifest.stem, "fp32"): float_model}
    for profile, entry in int8.items():
        models[_int8_name(build, profile)] = in_form(entry.model, form)
    for name, model in models.items():
        (root / MODELS / name).write_bytes(serialize(model))
    return float_model


def _int8_name(build: Build, profile: str) -> str:
    return model_file_name(build.manifest.stem, "int8", profile)


def _context(  # noqa: PLR0913, PLR0917  # the columns of one record
    vendor: Vendor,
    root: Path,
    build: Build,
    calibration: CalibrationSet,
    golden: tuple[GoldenVector, ...],
    int8: dict[str, QuantizedModel],
    grid: Callable[[str], QuantizedModel],
) -> BundleContext:
    assert build.table is not None  # calibration_set() asked for it
    return BundleContext(
        vendor=vendor.name,
        root=root,
        model=build.manifest.stem,
        scale=build.manifest.network.scale,
        tile=build.manifest.network.tile,
        form=build.manifest.network.form,
        output_shape=build.manifest.network.output_shape,
        output_kind=build.manifest.network.output,
        float_model=build.models[build.manifest.float_artifact.path],
        table=build.table,
        calibration=calibration,
        golden=golden,
        int8=int8,
        grid=grid,
    )


def _describe(  # noqa: PLR0913, PLR0917  # the columns of one record
    root: Path,
    build: Build,
    golden: tuple[GoldenVector, ...],
    vendors: Sequence[Vendor],
    profiles: dict[str, tuple[str, ...]],
    int8: dict[str, QuantizedModel],
) -> BundleManifest:
    manifest = build.manifest
    assert manifest.calibration is not None  # calibration_set() asked for its table
    return BundleManifest(
        model=manifest.model,
        network=manifest.network,
        weights=manifest.weights,
        calibration=manifest.calibration,
        options=manifest.options,
        float_model=f"{MODELS}/{model_file_name(manifest.stem, 'fp32')}",
        quantizable_models=_quantizable_models(root, manifest.stem, int8),
        int8_models={profile: f"{MODELS}/{_int8_name(build, profile)}" for profile in int8},
        golden=golden,
        vendors=tuple(
            VendorRecord(
                vendor.name,
                profiles[vendor.name][0],
                vendor.quantizes_itself,
                tuple(engine.name for engine in vendor.engines),
            )
            for vendor in vendors
        ),
        files=(),
        saturable={profile: entry.saturable for profile, entry in int8.items()},
        wheel="",
    )


def _quantizable_models(root: Path, stem: str, profiles: Iterable[str]) -> dict[str, str]:
    """Return the float models on a profile's grid that vendors asked for, by profile."""
    paths = {profile: f"{MODELS}/{quantizable_file_name(stem, profile)}" for profile in profiles}
    return {profile: path for profile, path in paths.items() if (root / path).is_file()}


def _weights_licence(request: HandoffRequest, build: Build) -> str | None:
    """Return the licence that the user states.

    Raises:
        UsageError: the weights have one that is known.
    """
    if request.weights_licence is None:
        return None
    if trained_by_real_esrgan(build.manifest.weights.sha256):
        raise UsageError(
            "found --weights-licence, but these are weights of the Real-ESRGAN project, whose "
            "licence is known: leave it out"
        )
    return " ".join(request.weights_licence.split()) or None


def _with_files(root: Path, draft: BundleManifest) -> BundleManifest:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return replace(draft, files=tuple(BundleFile.of(root, file) for file in files))
