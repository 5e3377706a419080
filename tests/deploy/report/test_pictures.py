"""What the page shows of pictures: chosen with a reason, stored without loss, on one scale."""

import base64

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.sample import sample_patches
from deploy.report.pictures import (
    DETAIL_PX,
    Drawing,
    Scene,
    choose,
    heat_colours,
    heat_scale,
    heatmap,
    make_scenes,
    picture_uri,
)

SIDE = 128


def scene(*spots: tuple[int, int, int], name: str = "coins.png@128,128") -> Scene:
    """A gray reference and one drawing that differs by some levels at some pixels."""
    reference = np.full((SIDE, SIDE, 3), 100, np.uint8)
    drawn = reference.copy()
    for row, column, levels in spots:
        drawn[row, column, 1] += levels
    network_input = np.full((SIDE // 4, SIDE // 4, 3), 100, np.uint8)
    return Scene(
        name, "the only one", network_input, Drawing("fp32", reference), (Drawing("int8", drawn),)
    )


def decoded(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == "data:image/webp;base64"
    raw = np.frombuffer(base64.b64decode(content), np.uint8)
    return cv2.cvtColor(cv2.imdecode(raw, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_a_picture_is_stored_without_loss_and_the_same_each_time() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (65, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(picture_uri(picture)), picture)
    assert picture_uri(picture) == picture_uri(picture.copy())


@pytest.mark.parametrize("count", range(1, 8))
def test_the_worst_and_the_best_are_among_the_chosen(count: int) -> None:
    parity_db = {f"picture {number}": 30.0 + number for number in range(count)}
    names = [name for name, _ in choose(parity_db)]
    assert names[0] == "picture 0"
    assert names[-1] == f"picture {count - 1}"
    assert len(set(names)) == len(names) == min(count, 3)


def test_differences_are_the_largest_of_any_channel() -> None:
    (levels,) = scene((5, 7, 30)).differences
    assert levels[5, 7] == 30
    assert levels.sum() == 30


@given(row=st.integers(0, SIDE - 1), column=st.integers(0, SIDE - 1))
def test_the_detail_holds_the_largest_difference(row: int, column: int) -> None:
    top, left = scene((row, column, 50)).detail()
    assert top <= row < top + DETAIL_PX
    assert left <= column < left + DETAIL_PX
    assert 0 <= top <= SIDE - DETAIL_PX
    assert 0 <= left <= SIDE - DETAIL_PX


def test_a_heatmap_keeps_single_pixels_and_ends_at_its_scale() -> None:
    levels = np.zeros((8, 8), np.uint8)
    levels[2, 3], levels[6, 6] = 16, 200
    coloured = heatmap(levels, 16)
    assert coloured.shape == (4, 4, 3)
    colours = heat_colours(2)
    black, brightest = (f"rgb({r} {g} {b})" for r, g, b in (coloured[0, 0], coloured[1, 1]))
    assert [black, brightest] == colours
    np.testing.assert_array_equal(coloured[3, 3], coloured[1, 1])


def test_brighter_is_more() -> None:
    levels = np.arange(0, 64, dtype=np.uint8).repeat(4).reshape(1, -1).repeat(2, axis=0)
    light = cv2.cvtColor(heatmap(levels, 63), cv2.COLOR_RGB2GRAY)[0].astype(int)
    assert (np.diff(light) >= -1).all()
    assert light[-1] > light[0] + 150


@pytest.mark.parametrize(
    ("levels", "scale"), [(0, 8), (8, 8), (9, 16), (40, 48), (140, 192)], ids=str
)
def test_one_scale_for_all_heatmaps_ends_at_a_round_number(levels: int, scale: int) -> None:
    bright = [(row, column, levels) for row in range(16) for column in range(16)]
    assert heat_scale([scene(), scene(*bright)]) == scale
    assert heat_scale([scene((0, 0, 150))]) == 8  # one pixel of 16,384 lies beyond


def test_scenes_know_their_photograph() -> None:
    patches = sample_patches("verification", 2).patches
    picture = np.zeros((512, 512, 3), np.uint8)
    scenes = make_scenes(
        [(patch, "why") for patch in patches],
        {"fp32": [picture, picture], "fp16": [picture, picture + 1]},
    )
    assert [one.name for one in scenes] == [patch.name for patch in patches]
    assert scenes[0].subject == "tabby cat"
    assert "CC0" in scenes[0].credit
    assert scenes[1].differences[0].max() == 1
    unknown = scene(name="mine.png")
    assert (unknown.subject, unknown.credit) == ("mine.png", "")


def test_every_picture_of_the_sample_has_a_title_of_its_own() -> None:
    names = [patch.name for patch in sample_patches("verification").patches]
    titles = [scene((0, 0, 1), name=name).title for name in names]
    assert len(set(titles)) == len(names) > 3
