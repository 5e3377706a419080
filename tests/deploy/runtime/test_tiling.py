"""Tiles: they cover a picture, add up to it, hide their rims, and agree with the whole network."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.errors import GraphError
from calib.tile import Size
from deploy.artifacts.files import serialize
from deploy.network.architecture import SRVGG, RRDBNet
from deploy.network.export import export_float
from deploy.runtime.runner import model_runner
from deploy.runtime.tiling import MARGIN_PX, Tiling, resized_model, tiled_runner

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


@given(length=st.integers(32, 1000), margin=st.integers(0, 15), scale=st.integers(1, 4))
def test_weights_cover_a_side_once_and_leave_the_rims_out(
    length: int, margin: int, scale: int
) -> None:
    tiling = Tiling(length, 48, Size(32, 48), margin)
    assert tiling.rows[0] == 0
    assert tiling.rows[-1] == length - 32
    total = np.zeros(length * scale)
    for row, _, weight in tiling.weights(scale):
        share = weight[:, 0]
        total[row * scale : (row + 32) * scale] += share
        inner_top, inner_bottom = row > 0, row < length - 32
        assert not inner_top or not share[: margin * scale].any()
        assert not inner_bottom or not share[(32 - margin) * scale :].any()
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


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


def test_a_network_with_a_reshape_runs_at_its_own_size_only(random_tensors, photo: Array) -> None:
    unshuffling = RRDBNet(blocks=1, features=8, growth=4, unshuffle=2)
    model = export_float(unshuffling, random_tensors(unshuffling), [photo]).model
    with pytest.raises(GraphError, match="reshapes to a fixed size"):
        resized_model(model, 150, 200, 2)


def test_a_pixel_shuffle_runs_at_any_size(random_tensors, photo: Array, tmp_path: Path) -> None:
    compact = SRVGG(convs=2, features=8, scale=4)
    model = export_float(compact, random_tensors(compact), [photo]).model
    before = serialize(model)
    run = model_runner(resized_model(model, 40, 56, 4), optimized=True)
    assert run(noise(40, 56)).shape == (1, 3, 160, 224)
    assert serialize(model) == before
