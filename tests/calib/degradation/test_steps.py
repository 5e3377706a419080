"""Each step against another library's way of doing the same."""

import io
import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from calib.degradation.kernels import GaussianKernel, SincKernel
from calib.degradation.recipe import Noise
from calib.degradation.steps import blurred, jpeg, resized, sharpened, with_noise

KERNELS = [
    GaussianKernel("gaussian", 7, (1.2, 1.2)),
    GaussianKernel("gaussian", 21, (3.0, 0.7), 0.4),
    GaussianKernel("plateau", 15, (2.0, 1.0), -1.0, 1.4),
    SincKernel(13, 1.3),
    SincKernel(21, 2.8),
]


@pytest.mark.parametrize("kernel", KERNELS)
def test_blur_is_scipys_correlation_with_mirrored_edges(picture, kernel) -> None:
    expected = np.stack(
        [ndimage.correlate(picture[..., c], kernel.values(), mode="mirror") for c in range(3)], -1
    )
    np.testing.assert_allclose(blurred(picture, kernel), expected, atol=1e-12)


def test_blur_of_a_picture_smaller_than_the_kernel(picture) -> None:
    small = np.ascontiguousarray(picture[:5, :8])
    expected = np.stack(
        [ndimage.correlate(small[..., c], KERNELS[1].values(), mode="mirror") for c in range(3)], -1
    )
    np.testing.assert_allclose(blurred(small, KERNELS[1]), expected, atol=1e-12)


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sides", [(57, 61), (192, 256), (250, 380), (29, 300)])
def test_resize_is_torchs(picture, how, sides: tuple[int, int]) -> None:
    planes = torch.from_numpy(picture.transpose(2, 0, 1)[None])
    expected = torch.nn.functional.interpolate(planes, sides, mode=how, align_corners=False)
    found = resized(picture, *sides, how)
    # OpenCV weighs float64 pixels by float32 weights.
    np.testing.assert_allclose(found, expected[0].numpy().transpose(1, 2, 0), atol=1e-5)


def test_area_resize_is_the_mean_of_what_a_pixel_covers(picture) -> None:
    # To 5 / 12 of the size a pixel covers 2.4: of each repeated 5 times, the mean over 12.
    cut = np.ascontiguousarray(picture[:, :252])
    repeated = cut.repeat(5, axis=0).repeat(5, axis=1)
    expected = repeated.reshape(80, 12, 105, 12, 3).mean(axis=(1, 3))
    found = resized(cut, 80, 105, "area")
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_gaussian_noise_has_its_deviation_and_channels(picture) -> None:
    flat = np.full((256, 256, 3), 0.5)
    colour = with_noise(flat, Noise("gaussian", 12.0, False, 3)) - flat
    gray = with_noise(flat, Noise("gaussian", 12.0, True, 3)) - flat
    for noise in (colour, gray):
        assert noise.std(axis=(0, 1)) * 255 == pytest.approx([12] * 3, rel=0.02)
        assert noise.mean() * 255 == pytest.approx(0, abs=0.2)
    assert np.abs(np.corrcoef(colour.reshape(-1, 3).T) - np.eye(3)).max() < 0.02
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    loud = with_noise(picture, Noise("gaussian", 255.0, False, 0))
    assert (loud.min(), loud.max()) == (0, 1)


@pytest.mark.parametrize("gray", [False, True])
def test_poisson_noise_has_the_variance_of_its_counts(gray: bool) -> None:
    # 64 levels: white is 64 photons; the variance of k / 64 is level / 64.
    levels = np.rint(np.linspace(50, 200, 64)) / 255
    ramp = np.broadcast_to(levels[:, None, None], (64, 4000, 3)).copy()
    noise = with_noise(ramp, Noise("poisson", 0.5, gray, 5)) - ramp
    expected = 0.5 * np.sqrt(levels / 64)
    assert noise.std(axis=(1, 2)) == pytest.approx(expected, rel=0.05)
    assert np.abs(noise.mean(axis=(1, 2))).max() < 5 * expected.max() / math.sqrt(4000)
    assert np.array_equal(noise[..., 0], noise[..., 1]) == gray


def test_poisson_counts_are_numpys(picture) -> None:
    expected = np.rint(picture * 255) / 255
    photons = 256  # more than 128 levels
    counted = np.random.default_rng(9).poisson(expected * photons) / photons
    found = with_noise(picture, Noise("poisson", 1.0, False, 9))
    np.testing.assert_array_equal(found, np.clip(picture + (counted - expected), 0, 1))


@pytest.mark.parametrize("quality", [30, 55, 95])
def test_jpeg_is_pillows_round_trip(photograph, picture, quality: int) -> None:
    content = io.BytesIO()
    Image.fromarray(photograph).save(content, "JPEG", quality=quality, subsampling="4:2:0")
    expected = np.asarray(Image.open(content))
    difference = np.abs(np.rint(jpeg(picture, quality) * 255) - expected)
    assert difference.max() <= 4
    assert difference.mean() < 0.1
    assert np.abs(expected - photograph.astype(float)).mean() > 10 * difference.mean()


def test_jpeg_clips_before_it_rounds() -> None:
    wild = np.zeros((16, 16, 3))
    wild[:, 8:] = 1.7
    np.testing.assert_array_equal(jpeg(wild, 95), jpeg(np.clip(wild, 0, 1), 95))


def test_sharpening_is_the_unsharp_mask_of_the_formula(picture) -> None:
    side = np.arange(-25, 26)
    line = np.exp(-(side**2) / (2 * 8.0**2))
    line /= line.sum()

    def smooth(values: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            values = ndimage.correlate1d(values, line, axis=axis, mode="mirror")
        return values

    detail = picture - smooth(picture)
    mask = smooth((np.abs(detail) * 255 > 10).astype(float))
    sharp = np.clip(picture + 0.5 * detail, 0, 1)
    expected = mask * sharp + (1 - mask) * picture
    np.testing.assert_allclose(sharpened(picture), expected, atol=1e-12)
    flat = np.full((64, 64, 3), 0.3)
    np.testing.assert_allclose(sharpened(flat), flat, atol=1e-15)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_step_does_not_depend_on_opencvs_threads(picture, threads: int) -> None:
    before = cv2.getNumThreads()
    expected = [blurred(picture, KERNELS[1]), resized(picture, 333, 431, "bicubic")]
    try:
        cv2.setNumThreads(threads)
        found = [blurred(picture, KERNELS[1]), resized(picture, 333, 431, "bicubic")]
    finally:
        cv2.setNumThreads(before)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
