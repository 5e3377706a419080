"""Choose which calibration pictures of a build may be passed on in a bundle.

Pictures of the embedded sample may be copied by anybody, so they always lie in the bundle. A
user's own lie there when the user says so; else the bundle has their digests, and a script that
makes the very same pictures from the user's folder.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from calib.dataset import PatchRef
from calib.digest import canonical_json
from calib.errors import StaleTableError, UsageError
from calib.held_back import found_patches
from calib.images import write_image
from calib.images_record import ImagesRecord
from calib.sample import sample_patches
from deploy.artifacts.build_folder import Build

FOLDER = "calibration"


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """The calibration pictures of a build.

    Attributes:
        record: what the calibration table says of them.
        patches: where they can be had from, in the table's order; empty if they stay at home.
    """

    record: ImagesRecord
    patches: tuple[PatchRef, ...]

    @property
    def included(self) -> bool:
        """Whether the pictures are in the bundle."""
        return bool(self.patches)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the pictures below the bundle's root, there or to be made."""
        return tuple(f"{FOLDER}/images/{position:04d}.png" for position in range(self.record.count))

    def write(self, root: Path) -> None:
        """Write the list of pictures, and the pictures that may be passed on, below ``root``."""
        entries = [
            {"file": file.removeprefix(f"{FOLDER}/"), **asdict(patch)}
            for file, patch in zip(self.files, self.record.patches, strict=True)
        ]
        kept = {key: getattr(self.record, key) for key in ("origin", "mode", "seed", "digest")}
        kept["size"] = list(self.record.size.sides)
        degradation = self.record.degradation
        kept["degradation"] = None if degradation is None else asdict(degradation)
        (root / FOLDER).mkdir(parents=True)
        (root / FOLDER / "patches.json").write_bytes(canonical_json({**kept, "patches": entries}))
        if self.included:
            (root / FOLDER / "images").mkdir()
        for file, patch in zip(self.files, self.patches, strict=False):
            write_image(root / file, patch.load())


def calibration_set(build: Build, folder: Path | None, *, include_images: bool) -> CalibrationSet:
    """Return the calibration set of a build.

    Args:
        build: an intact build.
        folder: the user's calibration folder.
        include_images: the user's pictures may be passed on.

    Raises:
        UsageError: the build has no calibration table, or the folder is needed and not given.
        StaleTableError: the folder does not hold the pictures that were calibrated on.
    """
    if build.table is None:
        raise UsageError(
            f"{build.folder} was built without calibration; build it with --precision int8"
        )
    record = build.table.images
    if record.origin == "sample":
        return CalibrationSet(
            record, _in_order(record, sample_patches("calibration", size=record.size).patches)
        )
    if not include_images:
        return CalibrationSet(record, ())
    if folder is None:
        raise UsageError("--include-images needs the calibration folder: name it with --calib")
    return CalibrationSet(record, _in_order(record, found_patches(folder, record)))


def _in_order(record: ImagesRecord, patches: tuple[PatchRef, ...]) -> tuple[PatchRef, ...]:
    known = {patch.sha256: patch for patch in patches}
    missing = [entry.name for entry in record.patches if entry.sha256 not in known]
    if missing:
        raise StaleTableError(
            f"{len(missing)} of {record.count} pictures that were calibrated on are not found, "
            f"the first is {missing[0]}; name the folder that was calibrated on with --calib"
        )
    return tuple(known[entry.sha256] for entry in record.patches)
