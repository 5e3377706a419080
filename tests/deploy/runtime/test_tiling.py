"""Tiles: they cover a picture, add up to it, hide their rims, and agree with the whole network."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.tile import Size
from deploy.network.architecture import RRDBNet
from deploy.network.export import export_float
from deploy.runtime.resized import resized_model
from deploy.runtime.runner import model_runner
from deploy.runtime.tiling import MARGIN_PX, Tiling, enlarged_bands, tiled_runner

Array = np.ndarray


def nearest(tensor: Array) -> Array:
    return tensor.repeat(2, axis=2).repeat(2, axis=3)


def noise(height: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random((1, 3, height, width), np.float32)


@settings(max_examples=40)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    margin=st.integers(0, 15),
    tile=st.sampled_from([32, 48]),
)
def test_tiles_of_a_pointwise_network_add_up_to_the_picture(
    height: int, width: int, margin: int, tile: int
) -> None:
    picture = noise(height, width)
    tiled = tiled_runner(nearest, 2, tile=Size(tile, 48), margin_px=margin)(picture)
    np.testing.assert_allclose(tiled, nearest(picture), rtol=0, atol=1e-6)


@settings(max_examples=40)
@given(
    height=st.integers(32, 300),
    width=st.integers(48, 300),
    margin=st.integers(0, 15),
    scale=st.integers(1, 4),
)
def test_rims_are_left_out_where_tiles_meet(
    height: int, width: int, margin: int, scale: int
) -> None:
    tiling = Tiling(height, width, Size(32, 48), margin)

    def draw(row: int, column: int) -> Array:
        tile = np.full((1, 32 * scale, 48 * scale), 1e9)
        rows = slice(scale * margin if row else 0, None if row + 32 == height else -scale * margin)
        columns = slice(
            scale * margin if column else 0, None if column + 48 == width else -scale * margin
        )
        tile[:, rows if margin else slice(None), columns if margin else slice(None)] = 1
        return tile

    bands = list(enlarged_bands(draw, tiling, scale))
    assert len(bands) == len(tiling.rows)
    assert sum(band.shape[1] for band in bands) == height * scale
    assert {band.shape[2] for band in bands} == {width * scale}
    assert all((band == 1).all() for band in bands)


def test_a_tile_is_faded_in_over_what_neither_discards() -> None:
    tiling = Tiling(32, 80, Size(32, 48), 8)
    assert tiling.columns == (0, 32)

    def draw(row: int, column: int) -> Array:
        return np.full((1, 32, 48), float(column > 0))

    (band,) = enlarged_bands(draw, Tiling(32, 76, Size(32, 48), 8), 1)
    shares = [0.125, 0.375, 0.625, 0.875]
    np.testing.assert_allclose(band[0, 0], [0.0] * 36 + shares + [1.0] * 36)
    (hard,) = enlarged_bands(draw, tiling, 1)
    np.testing.assert_array_equal(hard[0, 0], [0.0] * 40 + [1.0] * 40)


def test_bands_are_of_the_type_they_are_finished_in() -> None:
    def finish(piece: Array) -> Array:
        return np.rint(piece.mean(0, keepdims=True)).astype(np.uint8)

    bands = list(
        enlarged_bands(
            lambda *_: np.full((3, 96, 144), 7.4), Tiling(60, 80, Size(32, 48)), 3, finish
        )
    )
    assert {(band.dtype, len(band)) for band in bands} == {(np.dtype(np.uint8), 1)}
    assert all((band == 7).all() for band in bands)


@pytest.fixture(scope="module")
def small_network(random_tensors, photo: Array) -> onnx.ModelProto:
    """An RRDBNet of one block: what it draws depends on less than 24 pixels around."""
    architecture = RRDBNet(blocks=1, features=8, growth=4)
    return export_float(architecture, random_tensors(architecture), [photo]).model


@pytest.fixture(scope="module")
def large_picture() -> Array:
    return noise(150, 201)


def test_tiles_with_margin_agree_with_the_whole_network(
    small_network: onnx.ModelProto, large_picture: Array
) -> None:
    whole = model_runner(resized_model(small_network, 150, 201, 4), optimized=True)(large_picture)
    tiled = tiled_runner(model_runner(small_network, optimized=True), 4)(large_picture)
    assert tiled.shape == whole.shape == (1, 3, 600, 804)
    assert np.abs(whole).max() > 0.05
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_tiles_without_margin_show_seams(
    small_network: onnx.ModelProto, large_picture: Array
) -> None:
    whole = model_runner(resized_model(small_network, 150, 201, 4), optimized=True)(large_picture)
    run = model_runner(small_network, optimized=True)
    seams = tiled_runner(run, 4, margin_px=0)(large_picture) - whole
    assert np.abs(seams).max() > 1e-3 * np.abs(whole).max()


def test_a_smaller_picture_is_continued_by_reflection() -> None:
    seen: list[Array] = []

    def network(tensor: Array) -> Array:
        seen.append(tensor)
        return nearest(tensor)

    picture = noise(20, 128)
    drawn = tiled_runner(network, 2)(picture)
    assert drawn.shape == (1, 3, 40, 256)
    (tile,) = seen
    np.testing.assert_array_equal(tile[:, :, 20], picture[:, :, 18])


def test_one_tile_is_the_network_itself() -> None:
    picture = noise(128, 128)
    np.testing.assert_array_equal(tiled_runner(nearest, 2)(picture), nearest(picture))
    assert len(Tiling(128, 128)) == 1
    assert len(Tiling(339, 510)) == 24
    assert MARGIN_PX == 24
