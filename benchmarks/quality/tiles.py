"""Judge int8 models on tiles of photographs unlike those calibrated on: parity with float alone.

Of each photograph of a folder the middle 128x128 pixels as they are, reflected where it has fewer.

A network may be so sensitive to a tile that nothing rounded can follow it. So float is held against
itself too: each value of the tile moves by -1, 0 or 1 grey level at random, and the parity of the
two float pictures says what an error of half a grey level in the input alone becomes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from quality.builds import Candidate
from quality.kept_scores import kept_scores

from calib.arrays import Float32
from calib.colours import RGB
from calib.div2k import image_files
from calib.images import read_image, to_input
from calib.tile import USUAL_PX
from calib.views import CropView
from deploy.metrics.psnr_ssim import parity_db
from deploy.runtime.runner import Runner, model_runner

LEVEL = 1.0 / 255.0

HEAD = """\
| int8 | parity dB mean | min | second lowest | lowest tile | float with itself there |
|---|---|---|---|---|---|"""


@dataclass(frozen=True, eq=False)
class Tile:
    """A tile, and what the float model makes of it.

    Attributes:
        name: of its photograph.
        network_input: float32 ``[1,3,128,128]``.
        expected: what the float model draws, clipped to [0, 1].
        itself_db: parity of the float model with itself where each value moves by one grey level
            at random.
    """

    name: str
    network_input: Float32
    expected: Float32
    itself_db: float


@dataclass(frozen=True)
class TileParity:
    """One model on one tile."""

    name: str
    parity_db: float


def centre_tiles(folder: Path) -> Iterator[tuple[str, Float32]]:
    """Yield the middle tile of each photograph of a folder, by the photograph's name.

    Raises:
        ImageSetError: there is none.
        ImageError: one does not decode.
    """
    for path in image_files(folder):
        picture = read_image(path)
        corner = [max(0, side - USUAL_PX) // 2 for side in picture.shape[:2]]
        tile = CropView(*corner).of(picture)
        yield path.relative_to(folder).as_posix(), to_input(tile, RGB)


def tiles_drawn(tiles: Iterator[tuple[str, Float32]], run: Runner) -> Iterator[Tile]:
    """Yield each tile with what a float model makes of it, and of it moved by one grey level."""
    for number, (name, network_input) in enumerate(tiles):
        expected = np.clip(run(network_input), 0.0, 1.0)
        moved = moved_by_one_level(network_input, np.random.default_rng(number))
        again = np.clip(run(moved), 0.0, 1.0)
        yield Tile(name, network_input, expected, parity_db(expected, again))


def moved_by_one_level(network_input: Float32, rng: np.random.Generator) -> Float32:
    """Return a picture, float32 in [0, 1], each value moved by -1, 0 or 1 grey level."""
    steps = rng.integers(-1, 2, network_input.shape).astype(np.float32)
    return np.clip(network_input + steps * np.float32(LEVEL), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class TilesTable:
    """A table of how near models come to float on tiles.

    Attributes:
        tiles: at least one.
    """

    tiles: tuple[Tile, ...]

    @classmethod
    def of(cls, float_model: Path, folder: Path) -> "TilesTable":
        """Run the float model on the middle tiles of a folder of photographs.

        Raises:
            ImageSetError: there is none.
            ImageError: one does not decode.
        """
        run = model_runner(float_model, optimized=True)
        return cls(tuple(tiles_drawn(centre_tiles(folder), run)))

    def head(self) -> Iterator[str]:
        """Yield the table's head and the line of the float model, held against itself."""
        yield f"\n{len(self.tiles)} tiles of other photographs:\n\n{HEAD}"
        rows = [TileParity(tile.name, tile.itself_db) for tile in self.tiles]
        yield self._line("float, input moved by one grey level", rows)

    def line(self, candidate: Candidate) -> str:
        """Score a model and return its line."""
        return self._line(
            candidate.label, kept_scores(candidate.path, "tiles", self.tiles, TileParity, _judge)
        )

    def failed(self, words: str) -> str:
        """Return the line of a model that could not be made."""
        return f"| {words} | | | | | |"

    def _line(self, label: str, rows: Sequence[TileParity]) -> str:
        itself_db = {tile.name: tile.itself_db for tile in self.tiles}
        lowest, *others = sorted(rows, key=lambda row: row.parity_db)
        second = f"{others[0].parity_db:.2f}" if others else "-"
        mean = np.mean([row.parity_db for row in rows])
        return (
            f"| {label} | {mean:.2f} | {lowest.parity_db:.2f} | {second} | {lowest.name} | "
            f"{itself_db[lowest.name]:.2f} |"
        )


def _judge(tile: Tile, output: Float32) -> TileParity:
    return TileParity(tile.name, parity_db(tile.expected, output))
