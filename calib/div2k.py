"""Find calibration images and evaluation pairs in a folder of DIV2K's layout.

    DIV2K_train_LR_bicubic/X4/0001x4.png      never evaluated on
    DIV2K_valid_LR_bicubic/X4/0801x4.png      evaluated on if its HR partner is there
    DIV2K_valid_HR/0801.png

The two never overlap: calibration gets every LR image that is in no evaluation pair. Where there
is no ``LR_bicubic`` of a split, its ``LR_degraded`` takes that place (`calib.degradation.pairs`).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calib.errors import ImageSetError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
EVALUATION_SPLIT = "valid"

LR_DEGRADED = "LR_degraded"
_LR_KINDS = ("LR_bicubic", LR_DEGRADED)
"""In the order in which they are looked for."""

_LR_FOLDER = re.compile(rf"DIV2K_(?P<split>\w+)_(?P<kind>{'|'.join(_LR_KINDS)})")
_USUAL_SCALE = 4


@dataclass(frozen=True)
class Pair:
    """One evaluation image: its low- and its high-resolution file.

    Attributes:
        name: the HR file's stem, such as ``0801``.
        lr: the file that the model enlarges.
        hr: the file that the result is compared with.
    """

    name: str
    lr: Path
    hr: Path


def is_div2k(folder: Path) -> bool:
    """Say whether ``folder`` holds at least one LR folder of DIV2K's layout."""
    return bool(_lr_folders(folder))


def calibration_images(folder: Path) -> list[Path]:
    """List the LR images of a DIV2K layout that are in no evaluation pair, sorted by path.

    Of several LR scales the usual X4 is taken, else the smallest there is.

    Raises:
        ImageSetError: there is no such image.
    """
    found: list[Path] = []
    paired = 0
    for split, lr_folder in _lr_folders(folder).items():
        scales = sorted(_scales(lr_folder))
        if not scales:
            continue
        scale = _USUAL_SCALE if _USUAL_SCALE in scales else scales[0]
        lr_images = image_files(lr_folder / f"X{scale}")
        partners = _hr_partners(folder, lr_images, scale) if split == EVALUATION_SPLIT else {}
        found += [path for path in lr_images if path not in partners]
        paired += len(partners)
    if not found:
        raise ImageSetError(
            f"{folder}: a DIV2K layout with {paired} evaluation pairs and no other LR image; "
            "calibration must not see images that are scored on: add DIV2K_train_LR_bicubic, or "
            "name a folder of other photographs"
        )
    return found


def unpaired_photographs(folder: Path) -> list[Path]:
    """List the HR images of a DIV2K layout that are in no evaluation pair, sorted by path.

    Raises:
        ImageSetError: there is no such image.
    """
    paired: set[Path] = set()
    for split, lr_folder in _lr_folders(folder).items():
        for scale in _scales(lr_folder) if split == EVALUATION_SPLIT else []:
            partners = _hr_partners(folder, image_files(lr_folder / f"X{scale}"), scale)
            paired.update(partners.values())
    hr_folders = [child for child in sorted(folder.glob("DIV2K_*_HR")) if child.is_dir()]
    found = [path for child in hr_folders for path in image_files(child) if path not in paired]
    if not found:
        raise ImageSetError(
            f"{folder}: a DIV2K layout with {len(paired)} HR images, all of them in evaluation "
            "pairs; calibration must not see images that are scored on: add DIV2K_train_HR, or "
            "name a folder of other photographs"
        )
    return found


def evaluation_pairs(folder: Path, scale: int = _USUAL_SCALE) -> tuple[Pair, ...]:
    """List the validation images of which both the LR and the HR file are there, by name.

    Args:
        folder: the folder that holds ``DIV2K_valid_HR`` and ``DIV2K_valid_LR_bicubic``, or
            ``DIV2K_valid_LR_degraded``.
        scale: which LR folder to pair with, ``X2``, ``X3`` or ``X4``.

    Raises:
        ImageSetError: there is no pair.
    """
    usual = folder / f"DIV2K_{EVALUATION_SPLIT}_{_LR_KINDS[0]}"
    lr_folder = _lr_folders(folder).get(EVALUATION_SPLIT, usual) / f"X{scale}"
    hr_folder = folder / f"DIV2K_{EVALUATION_SPLIT}_HR"
    lr_images = image_files(lr_folder) if lr_folder.is_dir() else []
    partners = _hr_partners(folder, lr_images, scale)
    if not partners:
        hr_count = len(image_files(hr_folder)) if hr_folder.is_dir() else 0
        raise ImageSetError(
            f"{folder}: no evaluation pair: {len(lr_images)} images in {lr_folder.name} of "
            f"{lr_folder.parent.name} and {hr_count} in {hr_folder.name}; expected DIV2K's layout, "
            f"such as {lr_folder.parent.name}/X{scale}/0801x{scale}.png with "
            f"{hr_folder.name}/0801.png"
        )
    return tuple(Pair(hr.stem, lr, hr) for lr, hr in partners.items())


def image_files(folder: Path) -> list[Path]:
    """List the image files under ``folder``, sorted by their path within it.

    Subfolders are searched, links to folders are not followed, and names that begin with a
    dot are passed over. What counts is the suffix (`IMAGE_SUFFIXES`, in any case).

    Raises:
        ImageSetError: ``folder`` is not a folder, or holds no such file.
    """
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "not there"
        raise ImageSetError(f"{folder}: expected a folder of images, but it is {kind}")
    files = sorted(_visible_files(folder), key=lambda path: path.relative_to(folder).as_posix())
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        kinds = sorted({path.suffix.lower() or "no suffix" for path in files})
        seen = f"{len(files)} files ({', '.join(kinds[:6])})" if files else "no files"
        raise ImageSetError(
            f"{folder}: no images: found {seen}; expected photographs with a suffix of "
            f"{' '.join(IMAGE_SUFFIXES)}"
        )
    return images


def _visible_files(folder: Path) -> Iterator[Path]:
    for parent, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _lr_folders(folder: Path) -> dict[str, Path]:
    """Map each split's name to its LR folder, sorted by name; the usual kind before another."""
    if not folder.is_dir():
        return {}
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    matches = [(_LR_FOLDER.fullmatch(child.name), child) for child in children]
    found = {(match["kind"], match["split"]): child for match, child in matches if match}
    splits = dict.fromkeys(split for _, split in found)
    return {
        split: next(found[kind, split] for kind in _LR_KINDS if (kind, split) in found)
        for split in splits
    }


def _scales(lr_folder: Path) -> list[int]:
    matches = (re.fullmatch(r"X(\d)", child.name) for child in lr_folder.iterdir())
    return [int(match[1]) for match in matches if match]


def _hr_partners(folder: Path, lr_images: list[Path], scale: int) -> dict[Path, Path]:
    """Map each LR image to its HR image; LR images without one are left out."""
    hr_folder = folder / f"DIV2K_{EVALUATION_SPLIT}_HR"
    hr_by_stem = {p.stem: p for p in image_files(hr_folder)} if hr_folder.is_dir() else {}
    stems = ((path, path.stem.removesuffix(f"x{scale}")) for path in lr_images)
    return {path: hr_by_stem[stem] for path, stem in stems if stem in hr_by_stem}
