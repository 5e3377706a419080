"""Pictures as arrays: read, resized, turned into network inputs and back, written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calib.colours import RGB
from calib.errors import ImageError, UsageError, VerificationError
from calib.images import (
    in_channels,
    read_image,
    resize_area,
    to_input,
    to_picture,
    write_image,
)
from calib.tile import USUAL_PX

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def test_read_image_names_what_cannot_be_read(tmp_path, noise: np.ndarray) -> None:
    for path in (tmp_path, tmp_path / "absent.png"):
        with pytest.raises(ImageError, match=f"^{path}: cannot be read"):
            read_image(path)
    write_image(tmp_path / "n.png", noise)
    np.testing.assert_array_equal(read_image(tmp_path / "n.png"), noise)


@given(pictures)
def test_to_input_is_nchw_over_255_and_inverts_exactly(picture: np.ndarray) -> None:
    tensor = to_input(picture, RGB)
    height, width, _ = picture.shape
    assert tensor.shape == (1, 3, height, width)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    expected = picture.astype(np.float64) / 255
    np.testing.assert_allclose(tensor[0].transpose(1, 2, 0), expected, rtol=6e-8, atol=0)
    np.testing.assert_array_equal(to_picture(tensor), picture)


def test_to_picture_clips_and_rounds_half_to_even() -> None:
    values = np.array([-3.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 0.999, 1.0, 7.0], np.float32)
    output = np.broadcast_to(values, (1, 3, 1, 7)).copy()
    expected = [0, 0, 2, 2, 255, 255, 255]
    np.testing.assert_array_equal(to_picture(output)[0, :, 1], expected)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.full((1, 3, 2, 2), np.nan, np.float32), "12 NaN or infinite values of 12"),
        (np.full((1, 3, 2, 2), np.inf, np.float16), "NaN or infinite"),
        (np.zeros((3, 2, 2), np.float32), r"shape \[3, 2, 2\]"),
        (np.zeros((1, 2, 2, 3), np.float32), r"shape \[1, 2, 2, 3\]"),
        (np.zeros((1, 3, 0, 2), np.float32), r"shape \[1, 3, 0, 2\]"),
        (np.zeros((1, 3, 2, 2), np.uint8), "uint8; expected floating"),
    ],
    ids=["nan", "inf", "no batch", "NHWC", "empty", "integers"],
)
def test_to_picture_refuses(output: np.ndarray, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        to_picture(output)


def test_luma_is_that_of_bt_601_over_the_full_range() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    luma = picture @ np.array([0.299, 0.587, 0.114])
    found = to_input(picture, 1)
    assert found.shape == (1, 1, 64, 64)
    np.testing.assert_allclose(255 * found[0, 0], luma, rtol=0, atol=0.505)


def test_every_gray_is_its_own_luma_there_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = np.repeat(levels[:, :, np.newaxis], 3, axis=2)
    np.testing.assert_array_equal(in_channels(picture, 1), picture)
    np.testing.assert_array_equal(to_input(picture, 1)[0, 0], to_input(picture, RGB)[0, 0])
    np.testing.assert_array_equal(to_picture(to_input(picture, 1)), picture)


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 2, 3), np.float32), np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8)],
    ids=["float", "gray", "RGBA"],
)
def test_arrays_that_are_no_picture_are_refused(array: np.ndarray, tmp_path) -> None:
    for use in (
        lambda a: to_input(a, RGB),
        lambda a: resize_area(a, 4, 4),
        lambda a: write_image(tmp_path / "a", a),
    ):
        with pytest.raises(ImageError, match=r"expected"):
            use(array)


@given(hnp.arrays(np.uint8, (6, 8, 3)))
def test_resize_area_by_a_whole_factor_is_the_block_mean(picture: np.ndarray) -> None:
    means = picture.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize_area(picture, 3, 4), means, atol=0.5)


def test_resize_area_takes_height_before_width(noise: np.ndarray) -> None:
    assert resize_area(noise, USUAL_PX, 32).shape == (128, 32, 3)
    np.testing.assert_array_equal(resize_area(noise, *noise.shape[:2]), noise)


def test_write_image_leaves_nothing_half_written(tmp_path, noise: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png"):
        write_image(tmp_path / "out.jpg", noise)
    taken = tmp_path / "taken.png"
    taken.mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*taken\.png"):
        write_image(taken, noise)
    with pytest.raises(UsageError, match="cannot write"):
        write_image(tmp_path / "absent" / "out.png", noise)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]
