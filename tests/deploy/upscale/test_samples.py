"""Samples become input and back: the same codes, whatever their depth and number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from calib.errors import VerificationError
from deploy.upscale.samples import Layer, layers_of

PICTURES = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda dtype: arrays.arrays(
        dtype, st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
    )
)


@given(samples=PICTURES)
def test_a_network_that_changes_nothing_gives_the_picture_back(samples: np.ndarray) -> None:
    everything = slice(None), slice(None)
    drawn = [
        layer.finished(layer.network_input(*everything)[0]).transpose(1, 2, 0)
        for layer in layers_of(samples)
    ]
    np.testing.assert_array_equal(np.concatenate(drawn, axis=2), samples)
    assert {part.dtype for part in drawn} == {samples.dtype}


@given(samples=PICTURES.filter(lambda samples: samples.shape[2] < 3))
def test_a_network_of_gray_takes_one_channel(samples: np.ndarray) -> None:
    everything = slice(None), slice(None)
    for layer in layers_of(samples, 1):
        taken = layer.network_input(*everything)
        assert taken.shape == (1, 1, *samples.shape[:2])
        np.testing.assert_array_equal(layer.finished(taken[0])[0], layer.samples[:, :, 0])


def test_the_input_is_float32_between_0_and_1() -> None:
    layer = Layer(np.array([[[0], [65535]]], np.uint16))
    planes = layer.network_input(slice(None), slice(None))
    assert planes.dtype == np.float32
    np.testing.assert_array_equal(planes, np.broadcast_to([[0.0, 1.0]], (1, 3, 1, 2)))


def test_what_is_beyond_the_interval_is_clipped_and_what_is_no_number_refused() -> None:
    layer = Layer(np.zeros((1, 2, 3), np.uint8))
    drawn = np.array([-1.0, 2.0], np.float32).reshape(1, 1, 2).repeat(3, 0)
    np.testing.assert_array_equal(layer.finished(drawn)[:, 0], [[0, 255]] * 3)
    drawn[1, 0, 0] = np.nan
    with pytest.raises(VerificationError, match="NaN or infinite"):
        layer.finished(drawn)
