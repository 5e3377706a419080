"""Enlarge pictures of any size with a network of fixed input size, tile by tile.

A network sees zeros beyond the edge of its input, so the rim of a tile is drawn differently from
the same pixels inside a larger picture: a seam where tiles meet. The rule here:

    discard   the outer `MARGIN_PX` input pixels of a tile, where it meets another, are not used
    blend     what overlaps beyond that is mixed, with weights that rise linearly from the rim
    flush     at the edge of the picture itself a tile ends there too: the same zeros, no seam
    reflect   a picture smaller than a tile is continued by reflection, below and to the right

The receptive field of x4plus is wider than a usual tile, but what a pixel takes from afar decays
fast. PSNR in dB between a tile of 128 pixels and the same pixels inside a picture of 256, at a
distance from the rim (the worse of DIV2K 0802 and 0824):

    input pixels       0     8    16    24    32    40    48
    x4plus-anime-6b   24.1  33.4  41.4  49.8  59.1  70.2  91.5
    x4plus            26.0  32.3  37.8  42.7  45.0  50.7  55.0

24 keeps what is left below 2 of 255 grey levels, before blending, and 6x4 tiles cover a DIV2K
picture of 510x339; 32 would take 8x5. Tiles are spread evenly, so that all share what overlap
there is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from calib.arrays import Float32, Float64
from calib.errors import GraphError
from calib.tile import USUAL_SIZE, Size
from deploy.runtime.runner import Runner

MARGIN_PX = 24


@dataclass(frozen=True)
class Tiling:
    """Where tiles lie on one picture.

    Attributes:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        tile: size of every tile.
        margin_px: how much of a tile's rim is discarded where another tile covers it; ``None``:
            :data:`MARGIN_PX`, or a quarter of a side where that is less.
    """

    height: int
    width: int
    tile: Size = USUAL_SIZE
    margin_px: int | None = None

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """First row of every row of tiles."""
        return _starts(self.height, self.tile.height_px, self._margin(self.tile.height_px))

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """First column of every column of tiles."""
        return _starts(self.width, self.tile.width_px, self._margin(self.tile.width_px))

    def _margin(self, side_px: int) -> int:
        return min(MARGIN_PX, side_px // 4) if self.margin_px is None else self.margin_px

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def weights(self, scale: int) -> Iterator[tuple[int, int, Float32]]:
        """Yield each tile's first row, first column and float32 ``[h*scale, w*scale]``.

        Weights are positive where a tile counts and add up to 1 at every pixel.
        """
        height, width = self.tile.sides
        down = _shares(self.rows, height, self._margin(height), scale)
        across = _shares(self.columns, width, self._margin(width), scale)
        for row, vertical in zip(self.rows, down, strict=True):
            for column, horizontal in zip(self.columns, across, strict=True):
                yield row, column, np.outer(vertical, horizontal).astype(np.float32)


def tiled_runner(
    run: Runner, scale: int, tile: Size = USUAL_SIZE, *, margin_px: int | None = None
) -> Runner:
    """Return ``run``, which takes one size only, as a function of pictures of any size.

    Args:
        run: maps float32 [1, 3, h, w] to [1, 3, h*scale, w*scale].
        scale: output pixels per input pixel along one side.
        tile: h and w, the size of the network's input.
        margin_px: see :class:`Tiling`.

    Returns:
        A function from float32 [1, 3, H, W] to [1, 3, H*scale, W*scale].
    """

    def tiled(network_input: Float32) -> Float32:
        height, width = network_input.shape[2:]
        missing = [
            (0, max(0, needed - side))
            for needed, side in zip(tile.sides, (height, width), strict=True)
        ]
        padded = np.pad(network_input, ((0, 0), (0, 0), *missing), mode="reflect")
        tiling = Tiling(padded.shape[2], padded.shape[3], tile, margin_px)
        output = np.zeros((1, 3, tiling.height * scale, tiling.width * scale), np.float32)
        for row, column, weight in tiling.weights(scale):
            bottom, right = row + tile.height_px, column + tile.width_px
            drawn = run(np.ascontiguousarray(padded[:, :, row:bottom, column:right]))
            rows, columns = slice(row * scale, bottom * scale), slice(column * scale, right * scale)
            output[:, :, rows, columns] += drawn * weight
        return np.ascontiguousarray(output[:, :, : height * scale, : width * scale])

    return tiled


def resized_model(model: onnx.ModelProto, height: int, width: int, scale: int) -> onnx.ModelProto:
    """Return the same network for another input size.

    Args:
        model: with one input [1, 3, h, w] and one output, and no Reshape: only convolutions and
            what works on any size.
        height: rows of the new input.
        width: columns of the new input.
        scale: output pixels per input pixel along one side.

    Raises:
        GraphError: the graph holds a Reshape, whose shape is a constant of the old size.
    """
    for node in model.graph.node:
        if node.op_type == "Reshape":
            raise GraphError(
                f"node {node.name!r} reshapes to a fixed size, so this network runs at its own "
                "input size only; run it in tiles"
            )
    resized = onnx.ModelProto()
    resized.CopyFrom(model)
    del resized.graph.value_info[:]
    for value, factor in ((resized.graph.input[0], 1), (resized.graph.output[0], scale)):
        dims = value.type.tensor_type.shape.dim
        dims[2].dim_value, dims[3].dim_value = height * factor, width * factor
    return resized


def _starts(length: int, tile: int, margin: int) -> tuple[int, ...]:
    """Return the first pixel of each tile along one side, evenly spread and flush at both ends.

    >>> _starts(128, 128, 16), _starts(300, 128, 16)
    ((0,), (0, 86, 172))
    """
    step = tile - 2 * margin
    count = max(1, math.ceil((length - 2 * margin) / step))
    return tuple(round(index * (length - tile) / max(1, count - 1)) for index in range(count))


def _shares(starts: tuple[int, ...], tile: int, margin: int, scale: int) -> list[Float64]:
    """Return each tile's weight along one side, float64 [tile * scale]; they add up to 1.

    A weight is the distance in pixels from what is discarded, at most the width of the overlap.
    """
    length = (starts[-1] + tile) * scale
    total = np.zeros(length)
    ramps = []
    for number, start in enumerate(starts):
        ramp = np.full(tile * scale, np.inf)
        position = np.arange(tile * scale) + 0.5
        if number > 0:
            overlap = (starts[number - 1] + tile - start - 2 * margin) * scale
            ramp = np.minimum(ramp, (position - margin * scale) / max(1, overlap))
        if number < len(starts) - 1:
            overlap = (start + tile - starts[number + 1] - 2 * margin) * scale
            ramp = np.minimum(ramp, (position[::-1] - margin * scale) / max(1, overlap))
        ramp = np.clip(ramp, 0.0, 1.0)
        total[start * scale : (start + tile) * scale] += ramp
        ramps.append(ramp)
    return [
        ramp / total[start * scale : (start + tile) * scale]
        for ramp, start in zip(ramps, starts, strict=True)
    ]
