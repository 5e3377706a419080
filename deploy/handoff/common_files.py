"""Write the files of a bundle that serve every vendor: README, licences, scripts."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from calib.digest import sha256_file
from calib.sample import SAMPLE_PHOTOS, SamplePhoto
from deploy.artifacts.templates import text_environment
from deploy.handoff.acceptance import FLOAT_DB, MARGIN_DB
from deploy.handoff.bundle_manifest import BundleManifest
from deploy.handoff.calibration_set import FOLDER, CalibrationSet
from deploy.handoff.vendor import Vendor, copy_standalone
from deploy.metrics.thresholds import threshold_of
from deploy.network.known_models import WEIGHTS_PACKAGE, trained_by_real_esrgan


def write_common(
    root: Path,
    manifest: BundleManifest,
    calibration: CalibrationSet,
    vendors: Sequence[Vendor],
) -> None:
    """Write README.md, LICENSES.md and the scripts of every bundle below ``root``."""
    copy_standalone("processing.py", root / "processing.py")
    if manifest.network.output == "picture":
        copy_standalone("tiles.py", root / "tiles.py")
    copy_standalone("prepare_calibration.py", root / FOLDER / "prepare_calibration.py")
    jinja = text_environment("deploy.handoff")
    readme = jinja.get_template("README.md").render(
        manifest=manifest,
        calibration=calibration,
        vendors=vendors,
        wheel_sha256=sha256_file(root / manifest.wheel),
        float_db=FLOAT_DB,
        fp16_db=threshold_of("fp16", manifest.network.output).psnr_db,
        margin_db=MARGIN_DB,
        least_int8_db=threshold_of("int8", manifest.network.output).psnr_db,
    )
    about_pictures = jinja.get_template("calibration.md").render(
        calibration=calibration,
        takers=[vendor.name for vendor in vendors if vendor.quantizes_itself],
    )
    (root / FOLDER / "README.md").write_bytes(about_pictures.encode("utf-8"))
    origins = {vector.origin for vector in manifest.golden}
    licences = jinja.get_template("LICENSES.md").render(
        manifest=manifest,
        known=trained_by_real_esrgan(manifest.weights.sha256),
        weights_package=WEIGHTS_PACKAGE,
        package_licence=_declared_licence(WEIGHTS_PACKAGE),
        packaged=manifest.weights.origin.startswith(f"package {WEIGHTS_PACKAGE}"),
        photos=_sample_photos(manifest, calibration),
        own_calibration=calibration.included and calibration.record.origin != "sample",
        own_golden="folder" in origins,
    )
    (root / "README.md").write_bytes(readme.encode("utf-8"))
    (root / "LICENSES.md").write_bytes(licences.encode("utf-8"))


def _sample_photos(
    manifest: BundleManifest, calibration: CalibrationSet
) -> tuple[SamplePhoto, ...]:
    """Return the photographs of the embedded sample of which something lies in the bundle."""
    pictures = [vector.source for vector in manifest.golden if vector.origin == "sample"]
    if calibration.included and calibration.record.origin == "sample":
        pictures += [patch.name for patch in calibration.record.patches]
    files = {name.partition("@")[0] for name in pictures}
    return tuple(photo for photo in SAMPLE_PHOTOS if photo.file in files)


def _declared_licence(package: str) -> str:
    try:
        metadata = distribution(package).metadata
    except PackageNotFoundError:
        return "not known"
    declared = (metadata[key] for key in ("License-Expression", "License") if key in metadata)
    return next(filter(None, declared), "not declared")
