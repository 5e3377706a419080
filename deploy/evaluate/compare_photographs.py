"""Compare what built files draw of photographs, at their own size, with what float draws.

A photograph is taken in the tiles in which `upscale` enlarges it (`deploy.runtime.tiling`), of the
size that a file is built for. Of each tile that part counts which is used: the rim that is
discarded where tiles meet is left out. A picture that was calibrated on is compared too, and
named as such: its figures flatter.

float and fp16 are run as the runtime executes them, int8 in QDQ reference semantics.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from calib.arrays import Float32
from calib.dataset import was_seen
from calib.div2k import image_files
from calib.errors import UsageError, VerificationError
from calib.images import Picture, to_input, to_picture
from calib.photos import PhotoFile
from calib.table import CalibrationTable
from calib.tile import Tile
from deploy.artifacts.built_model import BuiltModel
from deploy.artifacts.files import TABLE_NAME
from deploy.evaluate.request import FileChoice, find_built_models
from deploy.metrics.psnr_ssim import parity_db
from deploy.progress import Advance, Progress
from deploy.runtime.runner import Runner
from deploy.runtime.tiling import Tiling


@dataclass(frozen=True)
class ComparisonRequest(FileChoice):
    """Which files to compare on which photographs.

    Attributes:
        pictures: files, and folders of files.
    """

    command: ClassVar[str] = "compare"
    pictures: Sequence[Path]


@dataclass(frozen=True)
class PictureDifference:
    """How far a file lies from float on one photograph at its own size.

    Attributes:
        picture: its name.
        file: of the build.
        tiles: how many it is enlarged in.
        parity_db_mean: mean over the tiles, dB.
        parity_db_lowest: of the worst tile, dB.
        x: first column of that tile, in pixels of the photograph.
        y: first row of it.
        largest: difference of two values of the 8-bit pictures, in grey levels of 255.
        calibrated_on: whether the file was calibrated on any part of it.
    """

    picture: str
    file: str
    tiles: int
    parity_db_mean: float
    parity_db_lowest: float
    x: int
    y: int
    largest: int
    calibrated_on: bool

    def record(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {
            "picture": self.picture,
            "file": self.file,
            "tiles": self.tiles,
            "parity_db_mean": round(self.parity_db_mean, 4),
            "parity_db_lowest": round(self.parity_db_lowest, 4),
            "x": self.x,
            "y": self.y,
            "largest_grey_levels": self.largest,
            "calibrated_on": self.calibrated_on,
        }


@dataclass
class _Tally:
    """Gathers the tiles of one photograph as a file draws them."""

    parities: list[tuple[float, int, int]] = field(default_factory=list)
    largest: int = 0

    def add(self, expected: Float32, found: Float32, row: int, column: int) -> None:
        """Compare the used part of a tile, float32 [1, C, h, w], from a row and column on."""
        parity = parity_db(np.clip(expected, 0.0, 1.0), np.clip(found, 0.0, 1.0))
        self.parities.append((parity, row, column))
        levels = to_picture(expected).astype(np.int16) - to_picture(found)
        self.largest = max(self.largest, int(np.abs(levels).max()))

    def difference(self, picture: str, file: str, *, calibrated_on: bool) -> PictureDifference:
        lowest_db, row, column = min(self.parities)
        mean_db = math.fsum(parity for parity, *_ in self.parities) / len(self.parities)
        count = len(self.parities)
        place = (column, row)
        return PictureDifference(
            picture, file, count, mean_db, lowest_db, *place, self.largest, calibrated_on
        )


def compare_photographs(
    request: ComparisonRequest, progress: Progress
) -> tuple[PictureDifference, ...]:
    """Compare every file that is asked for with the float file of its build on every photograph.

    Raises:
        UsageError: there is no such build or file, or it gives no picture.
        ImageSetError: a folder holds no picture.
        ImageError: a picture does not decode.
        VerificationError: a file is not the one that its manifest names, or draws NaN.
    """
    photos = [*_photographs(request.pictures)]
    compared = [item for item in find_built_models(request) if item.artifact.precision != "fp32"]
    if not compared:
        raise UsageError("found no file to compare with float; build with --precision int8")
    return tuple(
        difference
        for folder in dict.fromkeys(item.folder for item in compared)
        for difference in _compared(
            [item for item in compared if item.folder == folder], photos, progress
        )
    )


def _photographs(pictures: Sequence[Path]) -> Iterator[PhotoFile]:
    for path in pictures:
        if path.is_dir():
            for file in image_files(path):
                yield PhotoFile(file.relative_to(path).as_posix(), file)
        elif path.is_file():
            yield PhotoFile(path.name, path)
        else:
            raise UsageError(f"found no picture or folder {path}; name files or folders of them")


def _compared(
    items: Sequence[BuiltModel], photos: Sequence[PhotoFile], progress: Progress
) -> Iterator[PictureDifference]:
    """Compare files of one build with its float file."""
    folder, manifest = items[0].folder, items[0].manifest
    float_file = BuiltModel(folder, manifest, manifest.float_artifact)
    runs = {item.artifact.path: item.runner() for item in items}
    tile, scale, expected = float_file.tile, float_file.scale, float_file.runner()
    images = None
    if (folder / TABLE_NAME).is_file():
        images = CalibrationTable.load(folder / TABLE_NAME).images
    for photo in photos:
        picture = photo.read()
        height, width, _ = picture.shape
        tiles = Tiling(max(height, tile.height_px), max(width, tile.width_px), tile)
        title = f"comparing {', '.join(runs)} with float on {photo.name}"
        with progress.stage(title, len(tiles)) as advance:
            tallies = _tallied(picture, tiles, scale, expected, runs, advance)
        seen = images is not None and was_seen(photo, images)
        for file, tally in tallies.items():
            yield tally.difference(photo.name, file, calibrated_on=seen)


def _tallied(  # noqa: PLR0913, PLR0917  # what is run, on what, and how
    picture: Picture,
    tiling: Tiling,
    scale: int,
    float_run: Runner,
    runs: Mapping[str, Runner],
    advance: Advance,
) -> dict[str, _Tally]:
    tile = tiling.tile
    assert isinstance(tile, Tile)
    tallies = {file: _Tally() for file in runs}
    missing = [
        (0, s - p) for s, p in zip((tiling.height, tiling.width), picture.shape, strict=False)
    ]
    padded = np.pad(picture, [*missing, (0, 0)], mode="reflect")
    for row, rows in tiling.used(0):
        for column, columns in tiling.used(1):
            cut = padded[row : row + tile.height_px, column : column + tile.width_px]
            taken = to_input(np.ascontiguousarray(cut), tile.channels)
            drawn = float_run(taken)
            if not np.isfinite(drawn).all():
                raise VerificationError("the float file draws NaN or infinity; run 'verify'")
            for file, run in runs.items():
                found = run(taken)
                used, expected = (_used(one, rows, columns, scale) for one in (found, drawn))
                tallies[file].add(expected, used, row, column)
            advance()
    return tallies


def _used(output: Float32, rows: slice, columns: slice, scale: int) -> Float32:
    """Return what of a drawn tile, [1, C, H*scale, W*scale], belongs to some of its pixels."""
    down, across = (slice(part.start * scale, part.stop * scale) for part in (rows, columns))
    return output[:, :, down, across]
