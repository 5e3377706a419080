"""Pictures in every usual wrong form: each is named, and what is right or unknown is not."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from deploy.diagnosis.picture_forms import channel_orders, layouts, value_forms
from deploy.diagnosis.pictures import MIN_GAIN_DB, diagnose

Array = NDArray[np.float32]

PHOTO: Array = np.ascontiguousarray(
    data.astronaut()[:192, 100:356].astype(np.float32).transpose(2, 0, 1)[np.newaxis] / 255
)
SQUARE: Array = np.ascontiguousarray(PHOTO[..., :192])
_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
_STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)


def noisy(picture: Array, sigma: float = 0.02) -> Array:
    """Return what an int8 build makes of it: 34 dB."""
    noise = np.random.default_rng(0).normal(0.0, sigma, picture.shape)
    return (picture + noise).astype(np.float32)


def interleaved(picture: Array) -> Array:
    return np.ascontiguousarray(picture.transpose(0, 2, 3, 1))


WRONG: dict[str, tuple[Callable[[Array], Array], str]] = {
    "bgr": (lambda p: p[:, ::-1], "channels swapped (BGR for RGB)"),
    "gbr": (lambda p: p[:, [1, 2, 0]], "channels permuted (GBR for RGB)"),
    "0..255": (lambda p: p * 255, "values in 0..255 for 0..1 (missing / 255)"),
    "twice / 255": (
        lambda p: p / 255,
        "values in 0..1/255 for 0..1 (divided by 255 once too often)",
    ),
    "-1..1": (lambda p: p * 2 - 1, "values in -1..1 for 0..1"),
    "ImageNet": (
        lambda p: (p - _MEAN) / _STD,
        "ImageNet mean and standard deviation left in the values",
    ),
    "16..235": (lambda p: (p * 219 + 16) / 255, "limited range (16 to 235 of 255)"),
    "inverted": (lambda p: 1 - p, "values inverted"),
    "truncated": (
        lambda p: np.floor(np.clip(p, 0, 1) * 255) / np.float32(255),
        "8-bit values truncated instead of rounded",
    ),
    "dark": (lambda p: p * np.float32(0.6), "values need * "),
    "HWC": (interleaved, "layout HWC for CHW"),
    "HWC bytes as CHW": (
        lambda p: interleaved(p).reshape(p.shape),
        "interleaved pixels (HWC) under the shape of planes (CHW)",
    ),
    "transposed": (lambda p: p.transpose(0, 1, 3, 2), "height and width exchanged"),
    "upside down": (lambda p: p[:, :, ::-1], "upside down"),
    "shifted": (lambda p: np.roll(p, (1, -2), (2, 3)), "shifted by 1 px down and 2 px left"),
    "shifted up": (lambda p: np.roll(p, -1, 2), "shifted by 1 px up"),
    "clipped": (lambda p: np.clip(p, 0.06, 0.8), "range clipped to [0.060, 0.800]"),
    "HWC, BGR, 0..255": (
        lambda p: interleaved(p)[0, ..., ::-1] * 255,
        "layout HWC for CHW, channels swapped (BGR for RGB), "
        "values in 0..255 for 0..1 (missing / 255)",
    ),
    "BGR, shifted": (
        lambda p: np.roll(p[:, ::-1], 1, 3),
        "channels swapped (BGR for RGB), shifted by 1 px right",
    ),
}


@pytest.mark.parametrize("photo", [PHOTO, SQUARE], ids=["256x192", "192x192"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_form_is_named(name: str, photo: Array) -> None:
    spoil, cause = WRONG[name]
    # Clipping and truncation come last in a pipeline, so they act on the noise too; truncation
    # is finer than the noise, so there the noise belongs to the reference.
    source = noisy(photo)
    found = diagnose(source if name == "truncated" else photo, spoil(source).astype(np.float32))
    assert found is not None
    assert found.cause.startswith(cause)
    assert found.psnr_db_after >= found.psnr_db_as_is + MIN_GAIN_DB
    assert f"{found.psnr_db_after:.1f} dB" in found.explanation


@pytest.mark.parametrize(
    "candidate",
    [
        PHOTO,
        PHOTO[0],
        noisy(PHOTO),
        noisy(PHOTO, 0.2),
        np.rint(PHOTO * 255) / np.float32(255),
        np.random.default_rng(1).random(PHOTO.shape, np.float32),
        np.random.default_rng(1).normal(0.0, 3.0, PHOTO.shape).astype(np.float32),
        PHOTO + np.float32(0.5) * (PHOTO > 0.95),
    ],
    ids=["equal", "no batch", "int8", "grain", "8 bit", "noise", "loud noise", "beyond white"],
)
def test_what_is_right_or_has_no_name_is_not_named(candidate: Array) -> None:
    assert diagnose(PHOTO, candidate) is None


def test_values_that_are_no_numbers_are_named_with_their_share() -> None:
    broken = noisy(PHOTO)
    broken[0, :, :96] = np.nan
    found = diagnose(PHOTO, broken)
    assert found is not None
    assert found.cause == "NaN or infinity"
    assert "50.00%" in found.explanation
    assert found.psnr_db_after == pytest.approx(34.0, abs=0.5)
    nothing_left = diagnose(PHOTO, np.full_like(PHOTO, np.inf))
    assert nothing_left is not None
    assert nothing_left.psnr_db_after == 0.0


def test_a_constant_picture_is_named() -> None:
    found = diagnose(PHOTO, np.zeros_like(PHOTO))
    assert found is not None
    assert found.cause == "constant picture"


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (lambda p: 90 * np.tanh(3 * p - 1), "missing / 255"),
        (lambda p: np.clip(90 * np.tanh(3 * p - 1), 0, 1), "missing / 255"),
        (lambda p: 0.001 * np.tanh(3 * p[:, ::-1] - 1), "divided by 255 twice"),
    ],
    ids=["fed 0..255", "fed 0..255, clipped", "fed 0..1/255"],
)
def test_a_wrong_range_at_the_input_is_named_by_what_it_does_to_contrast(
    answer: Callable[[Array], Array], named: str
) -> None:
    grain = np.random.default_rng(2).normal(0.0, 0.3, PHOTO.shape)
    found = diagnose(PHOTO, answer(PHOTO + grain).astype(np.float32))
    assert found is not None
    assert named in found.cause


def test_another_size_is_named_with_both() -> None:
    found = diagnose(PHOTO, PHOTO[:, :, ::2, ::2])
    assert found is not None
    assert found.cause == "wrong size"
    assert "1x3x96x128" in found.explanation
    assert "1x3x192x256" in found.explanation


@settings(max_examples=20)
@given(down=st.integers(-6, 6), right=st.integers(-6, 6))
def test_any_small_shift_is_found(down: int, right: int) -> None:
    found = diagnose(SQUARE, np.roll(SQUARE, (down, right), (2, 3)))
    if (down, right) == (0, 0):
        assert found is None
        return
    assert found is not None
    expected = [f"{abs(down)} px {'down' if down > 0 else 'up'}"] if down else []
    expected += [f"{abs(right)} px {'right' if right > 0 else 'left'}"] if right else []
    assert found.cause == "shifted by " + " and ".join(expected)


def test_every_layout_and_order_undoes_itself_and_no_two_are_alike() -> None:
    planes = np.arange(3 * 2 * 4, dtype=np.float32).reshape(3, 2, 4)
    flat = planes.reshape(-1)
    undone = [form.undo(flat) for form in layouts(planes.shape, planes.shape)]
    assert np.array_equal(undone[0], planes)
    assert len({picture.tobytes() for picture in undone}) == len(undone) == 16
    orders = channel_orders(3)
    assert not orders[0].cause
    assert len({tuple(order.permutation) for order in orders}) == 6


def test_the_right_form_comes_first_and_costs_nothing() -> None:
    for forms in (value_forms(3), layouts((3, 2, 4), (3, 2, 4)), channel_orders(3)):
        assert (forms[0].cause, forms[0].penalty) == ("", 0.0)
        assert all(form.cause and form.penalty > 0 for form in forms[1:])


OF_COLOURS = ("bgr", "gbr", "ImageNet")


@pytest.mark.parametrize(
    "name",
    [name for name in WRONG if name not in OF_COLOURS and not {"BGR", "HWC"} & {*name.split(", ")}],
)
def test_what_is_wrong_with_gray_is_named(name: str) -> None:
    wrong, cause = WRONG[name]
    gray = PHOTO.mean(axis=1, keepdims=True)
    found = diagnose(gray, wrong(gray))
    if name == "HWC bytes as CHW":
        assert found is None  # a single channel lies in memory one way only
    else:
        assert found is not None
        assert cause in found.cause
