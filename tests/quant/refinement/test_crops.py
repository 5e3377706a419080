"""Crops that are learned from: where they lie, and in which colours."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from quant.refinement.crops import crops
from quant.refinement.schedule import Rates, Schedule

SCHEDULE = Schedule(8, 64, 2, Rates(0.0, 0.0, 0.0, 0.0))


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((1, 3, *size), np.float32) for size in ((16, 20), (12, 8), (6, 30))]


def drawn(pictures: list[np.ndarray], schedule: Schedule, count: int = 60) -> list[torch.Tensor]:
    return list(islice(crops(pictures, schedule), count))


def place(crop: torch.Tensor, pictures: list[np.ndarray]) -> tuple[int, int, int]:
    """Return where a crop lies, by the sum of its colours."""
    gray = crop.numpy().sum(axis=1)[0]
    for number, picture in enumerate(pictures):
        windows = np.lib.stride_tricks.sliding_window_view(picture.sum(axis=1)[0], gray.shape)
        found = np.argwhere(np.isclose(windows, gray, rtol=0, atol=1e-5).all(axis=(2, 3)))
        if len(found):
            return number, *map(int, found[0])
    raise AssertionError("a crop of none of the pictures")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_changes_colours_and_nothing_else(pictures: list[np.ndarray], share: float) -> None:
    plain = drawn(pictures, SCHEDULE)
    others = drawn(pictures, replace(SCHEDULE, recoloured=share))
    changed = [not torch.equal(*pair) for pair in zip(plain, others, strict=True)]
    # One permutation of three channels in six moves none.
    assert np.mean(changed) == pytest.approx(share * 5 / 6, abs=0.15)
    assert any(changed) == (share > 0.0)
    for one, other in zip(plain, others, strict=True):
        np.testing.assert_array_equal(np.sort(one.numpy(), axis=1), np.sort(other.numpy(), axis=1))
        assert place(one, pictures) == place(other, pictures)


def test_each_round_goes_through_all_pictures(pictures: list[np.ndarray]) -> None:
    rounds = np.reshape([place(crop, pictures)[0] for crop in drawn(pictures, SCHEDULE)], (-1, 3))
    assert (np.sort(rounds, axis=1) == [0, 1, 2]).all()
    assert len(np.unique(rounds, axis=0)) > 1


def test_a_crop_is_no_larger_than_its_picture(pictures: list[np.ndarray]) -> None:
    assert {tuple(crop.shape) for crop in drawn(pictures, SCHEDULE)} == {
        (1, 3, 8, 8),
        (1, 3, 6, 8),
    }


def test_the_seed_draws_the_same_crops_again(pictures: list[np.ndarray]) -> None:
    schedule = replace(SCHEDULE, recoloured=0.5)
    again = zip(drawn(pictures, schedule), drawn(pictures, schedule), strict=True)
    assert all(torch.equal(*pair) for pair in again)
    other = zip(drawn(pictures, schedule), drawn(pictures, replace(schedule, seed=1)), strict=True)
    assert not all(one.shape == two.shape and torch.equal(one, two) for one, two in other)


def test_gray_pictures_have_one_colour() -> None:
    gray = [np.random.default_rng(1).random((1, 1, 16, 16), np.float32)]
    pairs = zip(drawn(gray, SCHEDULE), drawn(gray, replace(SCHEDULE, recoloured=1.0)), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
