"""Write degraded pictures beside their photographs, as evaluation pairs, and what was done to each.

    OUT/DIV2K_valid_HR/NAME.png                     the photograph, or a crop of it
    OUT/DIV2K_valid_LR_degraded/X4/NAMEx4.png       the same, degraded
    OUT/degradation.json                            how, picture by picture

NAME is the photograph's path within its folder, without suffix, ``-`` for ``/``. Every file is a
function of a photograph's pixels, the parameters and the seed.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from calib.degradation.degrade import follow, generator_of, recipe_of
from calib.degradation.parameters import Degradation
from calib.degradation.recipe import Recipe
from calib.digest import sha256_bytes
from calib.div2k import EVALUATION_SPLIT, LR_DEGRADED, image_files, is_div2k
from calib.errors import ImageError, UsageError
from calib.files import write_atomically
from calib.images import Picture, read_image, write_image
from calib.records import FEWEST_PX, Count, Positive, Sha256, encode

PAIRS_NAME = "degradation.json"
PAIRS_SCHEMA: Literal["esrdeploy.degraded-pairs/1"] = "esrdeploy.degraded-pairs/1"


@dataclass(frozen=True)
class PairRecord:
    """One pair.

    Attributes:
        source: the photograph's path within its folder.
        top: first row of it, in pixels.
        left: first column.
        hr: path of what was cut out.
        hr_sha256: digest of its uint8 RGB bytes in row order.
        lr: path of the degraded picture.
        lr_sha256: digest of its bytes, likewise.
        recipe: what was done.
    """

    source: str
    top: Count
    left: Count
    hr: str
    hr_sha256: Sha256
    lr: str
    lr_sha256: Sha256
    recipe: Recipe


@dataclass(frozen=True)
class PairsRecord:
    """What ``degradation.json`` says.

    Attributes:
        degradation: scale and parameters.
        seed: of all that was drawn.
        crop_px: side of the crops at most; ``None``: whole photographs.
        pairs: by the photographs' paths.
        schema: version of the format.
    """

    degradation: Degradation
    seed: Count
    crop_px: Positive | None
    pairs: tuple[PairRecord, ...]
    schema: Literal["esrdeploy.degraded-pairs/1"] = PAIRS_SCHEMA


@dataclass(frozen=True)
class PairsRequest:
    """Which photographs to degrade, and how.

    Attributes:
        photos: folder of photographs, subfolders included.
        out: folder for the pairs; new or empty.
        degradation: scale and parameters.
        seed: of all that is drawn.
        crop_px: side of the crops at most, of the photograph; ``None``: all of it.
        count: photographs to take, the first by path; ``None``: all.
    """

    photos: Path
    out: Path
    degradation: Degradation
    seed: int = 0
    crop_px: int | None = None
    count: int | None = None

    def files(self) -> dict[str, Path]:
        """Return the photographs by the name of their pair.

        Raises:
            UsageError: two would have the same name, or the folder is a DIV2K layout.
            ImageSetError: there is no photograph.
        """
        if is_div2k(self.photos):
            raise UsageError(
                f"{self.photos} is a DIV2K layout, of photographs and of pictures reduced already; "
                f"name its folder of photographs, such as {self.photos / 'DIV2K_train_HR'}"
            )
        found: dict[str, Path] = {}
        for path in image_files(self.photos)[: self.count]:
            within = path.relative_to(self.photos).with_suffix("")
            name = "-".join(within.parts)
            if name in found:
                raise UsageError(
                    f"{found[name]} and {path} would both become {name}.png; rename one of them"
                )
            found[name] = path
        return found


def write_pairs(
    request: PairsRequest,
    *,
    threads: int | None = None,
    on_pair: Callable[[], None] = lambda: None,
) -> PairsRecord:
    """Write a pair for every photograph, and the record when all of them are there.

    Where one is refused, or all of it is interrupted, none stays.

    Args:
        request: what to write; its folder ``out`` is there.
        threads: photographs at work at once; ``None`` takes every core.
        on_pair: called after each.

    Raises:
        UsageError: the folder is not empty, a file cannot be written, or as in
            :meth:`PairsRequest.files`.
        ImageSetError: there is no photograph.
        ImageError: a photograph does not decode, or is too small.
    """
    files = request.files()
    if any(request.out.iterdir()):
        raise UsageError(f"found files in {request.out}; expected a new or an empty folder")
    made = {request.out / Path(path).parts[0] for path in _paths("any", request.degradation.scale)}
    with _whole_or_none(made):
        return _write_all(request, files, threads, on_pair)


@contextmanager
def _whole_or_none(folders: Collection[Path]) -> Iterator[None]:
    """Remove folders that are made within, where what fills them is refused or interrupted."""
    try:
        yield
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_all(
    request: PairsRequest,
    files: Mapping[str, Path],
    threads: int | None,
    on_pair: Callable[[], None],
) -> PairsRecord:
    for path in _paths("any", request.degradation.scale):
        (request.out / path).parent.mkdir(parents=True)
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    records = []
    try:
        for record in pool.map(lambda name: _write_pair(name, files[name], request), files):
            records.append(record)
            on_pair()
    finally:  # a photograph that cannot be used ends the job: the others need not be degraded
        pool.shutdown(cancel_futures=True)
    found = PairsRecord(request.degradation, request.seed, request.crop_px, tuple(records))
    write_atomically(request.out / PAIRS_NAME, encode(found))
    return found


def _write_pair(name: str, path: Path, request: PairsRequest) -> PairRecord:
    scale = request.degradation.scale
    hr, top, left = _cut(read_image(path), request, path)
    recipe = recipe_of(hr, request.degradation.parameters, request.seed)
    lr = follow(recipe, hr, scale)
    hr_path, lr_path = _paths(name, scale)
    write_image(request.out / hr_path, hr)
    write_image(request.out / lr_path, lr)
    return PairRecord(
        source=path.relative_to(request.photos).as_posix(),
        top=top,
        left=left,
        hr=hr_path,
        hr_sha256=sha256_bytes(hr.tobytes()),
        lr=lr_path,
        lr_sha256=sha256_bytes(lr.tobytes()),
        recipe=recipe,
    )


def _cut(picture: Picture, request: PairsRequest, path: Path) -> tuple[Picture, int, int]:
    """Cut out as much as is asked for, in multiples of the scale, and say from where."""
    scale = request.degradation.scale
    sides = picture.shape[:2]
    height, width = (min(side, request.crop_px or side) // scale * scale for side in sides)
    if min(height, width) < FEWEST_PX * scale:
        raise ImageError(
            f"{path}: found {sides[0]}x{sides[1]} pixels to degrade at scale {scale}; expected "
            f"sides of at least {FEWEST_PX * scale}"
        )
    generator = generator_of(picture, request.seed, "crop")
    top = int(generator.integers(sides[0] - height + 1)) if request.crop_px else 0
    left = int(generator.integers(sides[1] - width + 1)) if request.crop_px else 0
    return np.ascontiguousarray(picture[top : top + height, left : left + width]), top, left


def _paths(name: str, scale: int) -> tuple[str, str]:
    """Return where the HR and the LR picture of a pair lie."""
    root = f"DIV2K_{EVALUATION_SPLIT}"
    return f"{root}_HR/{name}.png", f"{root}_{LR_DEGRADED}/X{scale}/{name}x{scale}.png"
