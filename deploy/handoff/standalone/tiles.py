"""Cut a picture of any size into inputs of the network, and join what it makes of them.

    python tiles.py cut  PICTURE FOLDER                      picture -> FOLDER/0000.npy ...
    python tiles.py cut  PICTURE FOLDER --form raw           the same without a header, and their
                                                             list, FOLDER/input_list.txt
    python tiles.py cut  PICTURE FOLDER --form npz           input_0: uint8 CHW, and their list,
                                                             FOLDER/npz_datalist.txt
    python tiles.py join FOLDER  OUTPUTS OUT.png             what a runner made of them -> picture

Between the two, a runner turns each file of FOLDER into one of the same name in OUTPUTS: .npy,
.npz with output_0, .raw of float32, or Result_0/output.raw and so on, in the order of the list.
They hold floating-point numbers, in one of the shapes in which results are sent back (README.md).

A network sees nothing beyond the edge of a tile, so the outer --margin pixels of each are thrown
away where it meets another, and what overlaps beyond that is mixed. A picture smaller than a tile
is continued by reflection. This is what ``esrdeploy upscale --own-tiles`` does. Pictures of 16 bits
are taken in 8; colour profiles and other metadata are left behind; one with transparent pixels is
refused.

It needs numpy, cv2, and processing.py and manifest.json beside it. What was given and cannot be
used is one line on stderr, and exit status 2.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

sys.dont_write_bytecode = True  # a bundle stays as it was handed over
import processing  # type: ignore[import-not-found]  # noqa: E402  # lies beside it in the bundle

MARGIN_PX = 24
RECORD = "tiles.json"
LISTS = {"raw": "input_list.txt", "npz": "npz_datalist.txt"}

Array = npt.NDArray[Any]
Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """Where tiles lie along one side of a picture.

    Attributes:
        length_px: of the picture, continued to a whole tile where it is smaller.
        tile_px: of a tile.
        margin_px: of a tile, thrown away where it meets another.
    """

    length_px: int
    tile_px: int
    margin_px: int

    @property
    def starts(self) -> list[int]:
        """First pixel of each tile, evenly spread and flush with both ends."""
        step = self.tile_px - 2 * self.margin_px
        count = max(1, math.ceil((self.length_px - 2 * self.margin_px) / step))
        spare = self.length_px - self.tile_px
        return [round(index * spare / max(1, count - 1)) for index in range(count)]

    def shares(self, scale: int) -> list[Tensor]:
        """Return what each tile counts where it overlaps the one before it, from 0 to 1."""
        found, before = [], None
        for start in self.starts:
            overlap = 0 if before is None else before + self.tile_px - start
            place = (np.arange(overlap * scale) + 0.5) / scale - self.margin_px
            mixed = overlap - 2 * self.margin_px
            share = place / mixed if mixed > 0 else place > 0
            found.append(np.clip(share, 0.0, 1.0).astype(np.float32))
            before = start
        return found


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut.

    Attributes:
        height_px: of the picture.
        width_px: of the picture.
        gray: the picture's file has one channel, and so has the result.
        margin_px: of a tile, thrown away where it meets another; ``None``: :data:`MARGIN_PX`, or a
            quarter of a side where that is less.
        network: that the tiles are for, as manifest.json states it.
    """

    height_px: int
    width_px: int
    gray: bool
    margin_px: int | None
    network: dict[str, Any]

    @property
    def sides(self) -> tuple[Side, Side]:
        """Where tiles lie downwards and across."""
        _, _, *tile = processing.input_shape()
        lengths = zip((self.height_px, self.width_px), tile, strict=True)
        asked = self.margin_px
        down, across = (
            Side(max(own, px), px, min(MARGIN_PX, px // 4) if asked is None else asked)
            for own, px in lengths
        )
        return down, across

    @property
    def places(self) -> list[tuple[int, int]]:
        """First row and column of each tile, row by row."""
        down, across = self.sides
        return [(row, column) for row in down.starts for column in across.starts]

    @property
    def names(self) -> list[str]:
        """Names of the input files, each of which holds as many tiles as the network takes."""
        batch = processing.input_shape()[0]
        return [f"{number:04d}" for number in range(math.ceil(len(self.places) / batch))]


def require_margin(asked: int | None) -> None:
    """Refuse margins that leave nothing of a tile."""
    shorter = min(processing.input_shape()[2:])
    if asked is not None and not 0 <= asked < shorter / 2:
        processing.refuse(
            f"found a margin of {asked} pixels; expected 0 to {(shorter - 1) // 2}, less than half "
            "of a tile"
        )


def is_gray(path: Path) -> bool:
    """Return whether a picture file that decodes has one channel; refuse transparent pixels."""
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    stored: Array = np.asarray(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED))
    alpha = stored[..., 3:] if stored.ndim == 3 else stored[..., :0]
    if alpha.size and alpha.min() < np.iinfo(stored.dtype).max:
        processing.refuse(f"{path} has transparent pixels; expected none: flatten it")
    return stored.ndim == 2


def cut(path: Path, folder: Path, form: str, margin: int | None) -> None:
    """Write a picture's tiles as inputs of the network, and how they were cut."""
    picture = processing.read_picture(path)
    batch, channels, *tile = processing.input_shape()
    require_margin(margin)
    height, width = picture.shape[:2]
    tiling = Tiling(height, width, is_gray(path), margin, processing.stated_network())
    with processing.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            processing.refuse(f"{folder} is not empty; expected a new folder for each picture")
    missing = [side.length_px - own for side, own in zip(tiling.sides, picture.shape, strict=False)]
    padded = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")
    seen = processing.in_channels(padded, channels)
    tiles = [seen[row : row + tile[0], left : left + tile[1]] for row, left in tiling.places]
    with processing.writing(folder):
        for number, name in enumerate(tiling.names):
            group = tiles[number * batch : (number + 1) * batch]
            (network_input,) = processing.batches(group, batch)
            if form == "npy":
                np.save(folder / f"{name}.npy", network_input)
            elif form == "raw":
                network_input.tofile(folder / f"{name}.raw")
            else:
                np.savez(folder / f"{name}.npz", input_0=group[0].transpose(2, 0, 1))
        if form in LISTS:
            lines = [f"{folder / name}.{form}\n" for name in tiling.names]
            (folder / LISTS[form]).write_text("".join(lines), encoding="utf-8")
        (folder / RECORD).write_text(json.dumps(vars(tiling), indent=1) + "\n", encoding="utf-8")
    print(f"{len(tiles)} tiles in {len(tiling.names)} files of {folder}")


def read_tiling(folder: Path) -> Tiling:
    """Read how the tiles of a folder were cut, for the network beside this script."""
    path = folder / RECORD
    try:
        tiling = Tiling(**json.loads(path.read_text(encoding="utf-8")))
        sizes = (tiling.height_px, tiling.width_px, (tiling.margin_px or 0) + 1)
        sound = all(isinstance(size, int) and size > 0 for size in sizes)
    except OSError as error:
        processing.refuse(f"cannot read {path}: {error.strerror or error}; 'cut' writes it")
    except (ValueError, TypeError, RecursionError):
        sound = False
    if not sound:
        processing.refuse(f"{path} is none that 'cut' wrote")
    if tiling.network != processing.stated_network():
        processing.refuse(
            f"{path} was cut for another bundle's network; use that bundle's tiles.py"
        )
    require_margin(tiling.margin_px)
    return tiling


def output_files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the file that a runner made of each input."""
    suffixes = (".npy", ".npz", ".raw")
    if not folder.is_dir():
        processing.refuse(f"found no folder {folder}; expected one of what the network made")
    there = [path for path in folder.iterdir() if path.suffix in suffixes]
    there = there or list(folder.glob("Result_*/output.raw"))
    if len(there) != len(names):
        processing.refuse(f"found {len(there)} outputs in {folder}; expected {len(names)}, as cut")
    found = []
    for number, name in enumerate(names):
        places = [folder / f"{name}{suffix}" for suffix in suffixes]
        made = [path for path in (*places, folder / f"Result_{number}/output.raw") if path in there]
        if not made:
            processing.refuse(f"found no {name}.npy, .npz or .raw in {folder}, of the input {name}")
        found.append(made[0])
    return found


def read_tiles(path: Path) -> Tensor:
    """Read what the network made of an input, float32 [N, C, H, W], RGB or gray."""
    expected = processing.output_shape()
    planes = processing.read_output(path)
    if planes.shape != expected:
        found = list(planes.shape)
        processing.refuse(f"{path} holds N, C, H, W {found}; expected {list(expected)}")
    if not np.isfinite(planes).all():
        processing.refuse(f"{path} holds NaN or infinity")
    return np.ascontiguousarray(planes, np.float32)


def mix(before: Tensor, drawn: Tensor, share: Tensor) -> None:
    """Mix what two tiles draw of the same pixels into ``drawn``, which counts ``share``."""
    drawn -= before
    drawn *= share
    drawn += before


def joined(tiling: Tiling, outputs: Iterator[Tensor], scale: int) -> Iterator[Tensor]:
    """Yield the enlarged picture in bands [C, rows, columns], from the top down."""
    down, across = tiling.sides
    width, tile_width = (side * scale for side in (across.length_px, across.tile_px))
    above: Tensor | None = None
    rows = zip(down.starts, [*down.starts[1:], None], down.shares(scale), strict=True)
    for row, next_row, share_down in rows:
        line: Tensor | None = None
        for column, share in zip(across.starts, across.shares(scale), strict=True):
            drawn = next(outputs)
            line = np.empty((*drawn.shape[:2], width), np.float32) if line is None else line
            left = column * scale
            mix(line[:, :, left : left + len(share)], drawn[:, :, : len(share)], share)
            line[:, :, left : left + tile_width] = drawn
        assert line is not None  # there is a tile
        if above is not None:
            mix(above, line[:, : len(share_down)], share_down[:, np.newaxis])
        kept = line.shape[1] if next_row is None else (next_row - row) * scale
        above = line[:, kept:]
        yield line[:, :kept]


def join(folder: Path, outputs: Path, target: Path) -> None:
    """Write the picture that the outputs of its tiles make."""
    if target.suffix.lower() != ".png":
        processing.refuse(f"found {target}; expected a name that ends in .png")
    tiling = read_tiling(folder)
    scale: int = tiling.network["scale"]
    files, bands = output_files(outputs, tiling.names), []
    tiles = (tile for path in files for tile in read_tiles(path))
    for band in joined(tiling, tiles, scale):
        shown = band.mean(axis=0, keepdims=True) if tiling.gray else band
        bands.append(np.rint(np.clip(shown, 0, 1) * np.float32(255)).astype(np.uint8))
    whole = np.concatenate(bands, axis=1)[:, : tiling.height_px * scale, : tiling.width_px * scale]
    processing.write_picture(target, np.ascontiguousarray(whole.transpose(1, 2, 0)))
    size = "x".join(map(str, whole.shape[1:]))
    print(f"{target}: {size} (height x width), of {len(tiling.places)} tiles")
    if any(path.stat().st_mtime < (folder / RECORD).stat().st_mtime for path in files):
        print(f"outputs in {outputs} are older than {folder}: of another picture?", file=sys.stderr)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    cutting = commands.add_parser("cut", help="picture -> inputs of the network")
    cutting.add_argument("path", metavar="picture", type=Path)
    cutting.add_argument("folder", type=Path, help="a new one")
    cutting.add_argument("--form", choices=("npy", "raw", "npz"), default="npy")
    cutting.add_argument("--margin", type=int, help=f"pixels of a tile; {MARGIN_PX} by itself")
    joining = commands.add_parser("join", help="outputs of the network -> picture")
    joining.add_argument("folder", type=Path, help="the one that was cut into")
    joining.add_argument("outputs", type=Path, help="folder of what the network made")
    joining.add_argument("target", metavar="picture", type=Path, help="a .png to write")
    given = vars(parser.parse_args())
    command = cut if given.pop("command") == "cut" else join
    command(**given)


if __name__ == "__main__":
    main()
