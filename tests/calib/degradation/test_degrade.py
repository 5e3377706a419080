"""The whole way of a picture: the order of its steps, and that nothing but its pixels decides."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from calib.degradation import degrade as way
from calib.degradation.degrade import degrade, follow, recipe_of
from calib.degradation.parameters import Degradation, DegradationParameters, ResizeChances
from calib.errors import ImageError

PUBLISHED = Degradation(4)


def test_a_picture_is_degraded_to_the_byte_again(photograph) -> None:
    first = degrade(photograph, PUBLISHED, 7)
    assert (first.shape, first.dtype) == ((48, 64, 3), np.uint8)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        np.testing.assert_array_equal(degrade(photograph.copy(), PUBLISHED, 7), first)
    finally:
        cv2.setNumThreads(before)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: degrade(photograph, PUBLISHED, 7), range(4)):
            np.testing.assert_array_equal(found, first)


def test_seed_pixels_and_scale_each_matter(photograph) -> None:
    first = degrade(photograph, PUBLISHED, 7)
    assert not np.array_equal(degrade(photograph, PUBLISHED, 8), first)
    other = photograph.copy()
    other[0, 0, 0] ^= 1
    recipes = {str(recipe_of(pixels, PUBLISHED.parameters, 7)) for pixels in (photograph, other)}
    assert len(recipes) == 2
    for scale in (1, 2, 8):
        found = degrade(photograph, Degradation(scale), 7)
        assert found.shape == (192 // scale, 256 // scale, 3)


def test_many_recipes_leave_the_picture_recognisable(photograph) -> None:
    clean = cv2.resize(photograph, (64, 48), interpolation=cv2.INTER_AREA)
    seen = [degrade(photograph, PUBLISHED, seed) for seed in range(16)]
    correlations = [np.corrcoef(found.ravel(), clean.ravel())[0, 1] for found in seen]
    assert min(correlations) > 0.6
    assert np.median(correlations) > 0.9
    assert len({found.tobytes() for found in seen}) == 16


@pytest.mark.parametrize(
    ("jpeg_last", "end"),
    [(True, ["resized", "blurred", "jpeg"]), (False, ["jpeg", "resized", "blurred"])],
)
def test_steps_come_in_the_published_order(photograph, monkeypatch, jpeg_last: bool, end) -> None:
    called: list[str] = []

    def noted(name: str):
        step = getattr(way, name)

        def run(*arguments):
            called.append(name)
            return step(*arguments)

        return run

    for name in ("sharpened", "blurred", "resized", "with_noise", "jpeg"):
        monkeypatch.setattr(way, name, noted(name))
    recipes = (recipe_of(photograph, PUBLISHED.parameters, seed) for seed in range(100))
    whole = next(r for r in recipes if r.second.kernel and r.final_sinc)
    follow(replace(whole, jpeg_last=jpeg_last), photograph, 4)
    once = ["blurred", "resized", "with_noise"]
    assert called == ["sharpened", *once, "jpeg", *once, *end]
    called.clear()
    bare = replace(whole, sharpen=False, final_sinc=None, second=replace(whole.second, kernel=None))
    follow(bare, photograph, 4)
    assert called.count("blurred") == 1
    assert "sharpened" not in called


@pytest.mark.parametrize("shape", [(190, 256), (192, 255), (3, 64)])
def test_sides_that_are_no_multiples_are_refused(photograph, shape: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="multiples of 4"):
        degrade(photograph[: shape[0], : shape[1]], PUBLISHED, 0)


def test_gentle_parameters_leave_the_reduced_picture(photograph) -> None:
    kept = replace(
        PUBLISHED.parameters.second,
        blur_probability=0.0,
        resize=ResizeChances(0.0, 0.0, 1.0),
        gaussian_probability=1.0,
        gaussian_sigma_range=(0.0, 0.0),
        jpeg_quality_range=(100.0, 100.0),
    )
    gentle = Degradation(4, DegradationParameters(False, kept, kept, 0.0))
    recipe = recipe_of(photograph, gentle.parameters, 0)
    area = replace(recipe, second=replace(recipe.second, interpolation="area"))
    expected = cv2.resize(photograph, (64, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(follow(area, photograph, 4) - expected).mean() < 2
