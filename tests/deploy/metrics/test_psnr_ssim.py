"""Each figure against a closed form, a definition or scikit-image, and every refusal."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from calib.errors import VerificationError
from deploy.metrics.decibels import CEILING_DB
from deploy.metrics.psnr_ssim import max_abs_error, parity_db, psnr_db, ssim

SHAPE = (13, 17, 3)
pictures = hnp.arrays(np.uint8, SHAPE)
outputs = hnp.arrays(np.float32, (1, 3, 4, 5), elements=st.floats(0, 1, width=32))


def windowed_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM by its definition: a weighted sum over every 11x11 window inside the picture."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(taps, taps) / taps.sum() ** 2
    x, y = (
        np.lib.stride_tricks.sliding_window_view(picture.astype(float), (11, 11), axis=(0, 1))
        for picture in (a, b)
    )
    mx, my = (weights * x).sum((-2, -1)), (weights * y).sum((-2, -1))
    dx, dy = x - mx[..., None, None], y - my[..., None, None]
    vx, vy = (weights * dx**2).sum((-2, -1)), (weights * dy**2).sum((-2, -1))
    cxy = (weights * dx * dy).sum((-2, -1))
    c1, c2 = 6.5025, 58.5225
    terms = (2 * mx * my + c1) * (2 * cxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(terms.mean())


@given(pictures, pictures)
def test_psnr_is_scikit_images(a: np.ndarray, b: np.ndarray) -> None:
    if (a != b).any():
        expected = peak_signal_noise_ratio(a, b, data_range=255)
        assert psnr_db(a, b) == pytest.approx(expected, abs=1e-9)
    assert psnr_db(a, b) == psnr_db(b, a)


@pytest.mark.parametrize("step", [1, 16, 255])
def test_psnr_of_a_constant_difference(step: int) -> None:
    a = np.zeros((5, 4, 3), np.uint8)
    assert psnr_db(a, a + np.uint8(step)) == pytest.approx(20 * math.log10(255 / step))


def test_psnr_of_one_grey_level_in_one_value_is_under_the_ceiling() -> None:
    a = np.zeros((512, 512, 3), np.uint8)
    b = a.copy()
    b[5, 6, 1] = 1
    expected = 10 * math.log10(255**2 * 512 * 512 * 3)
    assert psnr_db(a, b) == pytest.approx(expected)
    assert expected < CEILING_DB


@given(pictures, pictures)
def test_ssim_is_its_definition(a: np.ndarray, b: np.ndarray) -> None:
    assert ssim(a, b) == pytest.approx(windowed_ssim(a, b), abs=1e-9)


def test_ssim_of_a_blurred_picture() -> None:
    rng = np.random.default_rng(3)
    smooth = np.cumsum(rng.normal(0, 3, (96, 80, 3)), axis=0) + 128
    a = np.clip(smooth, 0, 255).astype(np.uint8)
    b = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    assert 0.1 < ssim(a, b) < 0.95
    assert ssim(a, b) == pytest.approx(windowed_ssim(a, b), abs=1e-9)


@given(pictures, pictures)
def test_ssim_is_scikit_images(a: np.ndarray, b: np.ndarray) -> None:
    expected = structural_similarity(
        a, b, channel_axis=2, data_range=255,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(a, b) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_two_flat_pictures() -> None:
    # Without variance only the luminance term is left.
    a, b = np.full(SHAPE, 100, np.uint8), np.full(SHAPE, 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


@given(pictures)
def test_equal_pictures(a: np.ndarray) -> None:
    assert psnr_db(a, a.copy()) == CEILING_DB
    assert ssim(a, a.copy()) == pytest.approx(1, abs=1e-12)


@given(outputs, outputs)
def test_parity_is_the_psnr_for_a_peak_of_one(a: np.ndarray, b: np.ndarray) -> None:
    mean_square = ((a.astype(np.float64) - b.astype(np.float64)) ** 2).mean()
    expected = CEILING_DB if mean_square == 0 else -10 * math.log10(mean_square)
    assert parity_db(a, b) == pytest.approx(min(expected, CEILING_DB), abs=1e-9)
    assert parity_db(a, b) == parity_db(b, a)


@pytest.mark.parametrize("exponent", [1, 2, 5])
def test_parity_of_a_constant_difference(exponent: int) -> None:
    a = np.full((1, 3, 8, 8), 0.5)
    assert parity_db(a, a + 10.0**-exponent) == pytest.approx(20 * exponent)


def test_parity_does_not_clip() -> None:
    a = np.ones((1, 3, 2, 2), np.float32)
    assert parity_db(a, a * 3) == pytest.approx(-10 * math.log10(4))


def test_parity_ends_at_the_ceiling() -> None:
    a = np.zeros((1, 3, 2, 2), np.float32)
    assert parity_db(a, a) == CEILING_DB
    assert parity_db(a, a + np.float32(1e-20)) == CEILING_DB
    one_ulp = np.full((1, 3, 512, 512), 0.5, np.float32)
    other = one_ulp.copy()
    other[0, 0, 0, 0] = np.nextafter(np.float32(0.5), np.float32(1))
    assert 190 < parity_db(one_ulp, other) <= CEILING_DB


@given(outputs, outputs)
def test_max_abs_error(a: np.ndarray, b: np.ndarray) -> None:
    found = max_abs_error(a, b)
    expected = max(abs(float(x) - float(y)) for x, y in zip(a.flat, b.flat, strict=True))
    assert found == expected
    assert -20 * math.log10(max(found, 1e-10)) <= parity_db(a, b) + 1e-9


@pytest.mark.parametrize("figure", [psnr_db, ssim, parity_db, max_abs_error])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((12, 12, 3), np.uint8), np.zeros((12, 13, 3), np.uint8), "cannot compare"),
        (np.zeros((12, 12, 3), np.uint8), np.zeros((1, 12, 3), np.uint8), "cannot compare"),
        (np.zeros((12, 12, 3), np.uint8), np.zeros((12, 12, 3), np.float32), "cannot compare"),
        (np.zeros((12, 12, 3), np.float32), np.zeros((12, 12, 3), np.float64), "cannot compare"),
        (np.zeros((0, 12, 3), np.uint8), np.zeros((0, 12, 3), np.uint8), "nothing to compare"),
        (np.zeros((0,), np.float32), np.zeros((0,), np.float32), "nothing to compare"),
        (np.zeros((12, 12, 3), np.int32), np.zeros((12, 12, 3), np.int32), "expected"),
    ],
    ids=["width", "broadcast", "dtype", "precision", "empty", "empty floats", "integers"],
)
def test_what_cannot_be_compared_is_refused(
    figure: object, a: np.ndarray, b: np.ndarray, message: str
) -> None:
    with pytest.raises(VerificationError, match=message):
        figure(a, b)


@pytest.mark.parametrize("figure", [psnr_db, ssim])
def test_floats_are_no_pictures(figure: object) -> None:
    floats = np.zeros((12, 12, 3), np.float32)
    with pytest.raises(VerificationError, match="pictures of float32 compared; expected uint8"):
        figure(floats, floats)


@pytest.mark.parametrize("figure", [parity_db, max_abs_error])
def test_pictures_are_no_outputs(figure: object) -> None:
    picture = np.zeros((12, 12, 3), np.uint8)
    with pytest.raises(VerificationError, match="outputs of uint8 compared; expected floating"):
        figure(picture, picture)


@pytest.mark.parametrize("figure", [parity_db, max_abs_error])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("role", ["reference", "candidate"])
def test_an_output_that_is_not_finite_is_named(figure: object, broken: float, role: str) -> None:
    good = np.zeros((1, 3, 2, 2), np.float32)
    bad = good.copy()
    bad[0, 1, 1, 0] = broken
    arrays = (bad, good) if role == "reference" else (good, bad)
    with pytest.raises(VerificationError, match=f"the {role} output holds 1 NaN or infinite"):
        figure(*arrays)


@pytest.mark.parametrize("shape", [(10, 40, 3), (40, 40, 1), (40, 40)])
def test_ssim_refuses_what_the_protocol_does_not_cover(shape: tuple[int, ...]) -> None:
    picture = np.zeros(shape, np.uint8)
    with pytest.raises(VerificationError, match=r"expected \[H, W, 3\] of at least 11x11"):
        ssim(picture, picture)
