"""Refuse to hand over files of which the verdict on their build says that they failed."""

from collections.abc import Iterable

from calib.errors import VerificationError
from deploy.artifacts.build_folder import Build
from deploy.artifacts.files import model_file_name
from deploy.metrics.decibels import rounded_down


def require_verified(build: Build, profiles: Iterable[str]) -> None:
    """Refuse a build whose verification failed by one of its int8 files.

    What the build has not is made for the bundle, and no verdict was asked of it.

    Args:
        build: what is handed over.
        profiles: of the int8 models that go into the bundle.

    Raises:
        VerificationError: the manifest records that one did not pass.
    """
    for profile in profiles:
        name = model_file_name(build.manifest.stem, "int8", profile)
        found = build.manifest.parity.artifacts.get(name)
        if found is not None and not found.passed:
            worst_db = rounded_down(found.psnr_db_min)
            raise VerificationError(
                f"{build.folder / name} failed its verification, {worst_db:.2f} dB from "
                f"float at worst: 'esrdeploy verify {build.folder}' says by what; build it again "
                "with other options or pictures, or with --precision fp16 --replace for a vendor "
                "that quantizes by itself"
            )
