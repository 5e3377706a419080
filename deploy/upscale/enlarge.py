"""Enlarge the samples of one picture, band by band."""

from collections.abc import Iterator

import numpy as np

from calib.arrays import AnyArray, Float32
from deploy.progress import Advance
from deploy.runtime.tiling import Tiling, enlarged_bands
from deploy.upscale.samples import Layer, layers_of
from deploy.upscale.sized_network import SizedNetwork


def enlarge(
    samples: AnyArray, network: SizedNetwork, advance: Advance = lambda: None
) -> Iterator[AnyArray]:
    """Yield an enlarged picture in bands of its full width, from the top down.

    Args:
        samples: uint8 or uint16 [H, W, C], as of a `Photograph`; gray for a network of gray.
        network: what enlarges it.
        advance: called after each inference.

    Yields:
        The same type, [rows, W*scale, C]; the rows add up to H*scale.

    Raises:
        VerificationError: the network drew NaN or infinity.
    """
    height, width, _ = samples.shape
    tile = network.tile_for(samples.shape, samples.dtype.itemsize)
    down, right = (
        max(0, needed - side) for needed, side in zip(tile.sides, (height, width), strict=True)
    )
    padded = samples
    if down or right:
        padded = np.pad(samples, ((0, down), (0, right), (0, 0)), mode="reflect")
    tiling = network.tiling(padded.shape[0], padded.shape[1], tile)
    layers = [
        _layer_bands(layer, network, tiling, advance)
        for layer in layers_of(padded, network.channels)
    ]
    left = height * network.scale
    for bands in zip(*layers, strict=True):
        joined = np.concatenate(bands) if len(bands) > 1 else bands[0]
        band = joined[:, :left, : width * network.scale]
        left -= band.shape[1]
        yield band.transpose(1, 2, 0)


def inferences(shape: tuple[int, ...], network: SizedNetwork, sample_bytes: int = 1) -> int:
    """Return how many inferences a picture of height, width and channels takes."""
    height, width, channels = shape
    tile = network.tile_for(shape, sample_bytes)
    tiling = network.tiling(max(height, tile.height_px), max(width, tile.width_px), tile)
    return len(tiling) * (2 - channels % 2)


def _layer_bands(
    layer: Layer, network: SizedNetwork, tiling: Tiling, advance: Advance
) -> Iterator[AnyArray]:
    """Yield a layer in bands [C, rows, width*scale]."""
    tile = tiling.tile

    def draw(row: int, column: int) -> Float32:
        rows = slice(row, row + tile.height_px)
        columns = slice(column, column + tile.width_px)
        if layer.constant:
            sides = (side * network.scale for side in tile.sides)
            value = layer.network_input(rows, columns)[0, :, :1, :1]
            drawn = np.tile(value, (1, *sides))
        else:
            drawn = network.run(tile, layer.network_input(rows, columns))[0]
        advance()
        return drawn

    yield from enlarged_bands(draw, tiling, network.scale, layer.finished)
